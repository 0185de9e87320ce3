"""The description of the routes, held against what they do."""

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

from fieldmark.serving.guards import guard_config

pytest.importorskip("schemathesis")

EXAMPLES = 5
"""An operation; `benchmarks/serve_contract.py` tries 200."""
SCRIPT = Path(__file__).parents[2] / "benchmarks" / "serve_contract.py"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_no_route_answers_other_than_it_is_described(
    serving: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = importlib.util.spec_from_file_location("serve_contract", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    contract = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "serve_contract", contract)  # its dataclass looks there
    spec.loader.exec_module(contract)
    guard = guard_config("127.0.0.1", token=None, allow_hosts=(contract.TEST_HOST,))
    with serving(guard=guard) as client:
        found = contract.check_contract(client.app, num_examples=EXAMPLES)
    assert found.failures == []
    assert found.num_operations == 14
    assert found.statuses[200] > 0
    assert found.statuses[421] == 0
