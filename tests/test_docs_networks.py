"""The table of networks in the documentation is what the code counts."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("networks", DOCS / "generate_networks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_of_networks_is_up_to_date(generator: ModuleType) -> None:
    page = (DOCS / "reference.md").read_text("utf-8")
    assert page == generator.with_table(page), (
        "docs/reference.md is out of date: run '.venv/bin/python docs/generate_networks.py'"
    )


def test_each_network_has_as_many_layers_as_its_name_says(generator: ModuleType) -> None:
    for name in generator.NETWORKS:
        depth = generator.depth(generator.layers_of(name)[0])
        assert re.sub(r"\D", "", name) == str(depth), name
