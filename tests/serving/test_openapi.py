"""The description of the routes, held against what they do."""

import importlib.util
import math
import sys
from pathlib import Path
from typing import Any

import pytest

from fieldmark.evaluation.decision import DecisionRule
from fieldmark.evaluation.unfamiliar import UnfamiliarRule
from fieldmark.serving import protocol, shapes
from fieldmark.serving.guards import guard_config
from fieldmark.serving.openapi_examples import INFERRED

WITH_EXAMPLE = {"/predict", "/explain", "/nearest", "/about", "/metrics"}
INFER = "/v2/models/{name}/infer"
EXAMPLES = 5
"""An operation; `benchmarks/serve_contract.py` tries 200."""
SCRIPT = Path(__file__).parents[2] / "benchmarks" / "serve_contract.py"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_no_route_answers_other_than_it_is_described(
    serving: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("schemathesis")
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


def test_answers_are_described_with_examples_that_fit_their_shapes(serving: Any) -> None:
    with serving() as client:
        described = client.get("/openapi.json").json()
    num_examples = 0
    for place, operations in described["paths"].items():
        for operation in operations.values():
            for status, answer in operation["responses"].items():
                for kind, content in answer["content"].items():
                    if status == "200" and place not in WITH_EXAMPLE | {INFER}:
                        continue
                    assert content["example"], (place, status)
                    num_examples += 1
                    if kind == "application/json":
                        shape = content["schema"]["$ref"].rpartition("/")[2]
                        getattr(shapes, shape).model_validate(content["example"])
    assert num_examples > 40


def test_the_example_of_an_answer_has_the_outputs_of_the_protocol(colours: Any) -> None:
    colours.decision = DecisionRule(
        unfamiliar=UnfamiliarRule(score="distance", score_reason="", rate=0.05, reason="")
    )
    outputs = protocol.model_metadata(colours)["outputs"]
    assert [(one["name"], one["datatype"]) for one in INFERRED["outputs"]] == [
        (one["name"], one["datatype"]) for one in outputs
    ]
    assert all(len(one["data"]) == math.prod(one["shape"]) for one in INFERRED["outputs"])
