"""What `import fieldmark` shows, and how little it costs."""

import importlib
import json
import subprocess
import sys

import pytest

import fieldmark

NAMES = [
    "Comparison",
    "Degraded",
    "Estimate",
    "Evaluation",
    "Explanation",
    "Exploration",
    "Export",
    "ExportedModel",
    "Fetched",
    "FieldmarkError",
    "Predicted",
    "Prediction",
    "Predictions",
    "Repeats",
    "Run",
    "Study",
    "Verified",
    "__version__",
    "compare",
    "degrade",
    "demo",
    "evaluate",
    "explain",
    "explore",
    "export",
    "fetch",
    "load",
    "load_exported",
    "predict",
    "predict_to",
    "serve",
    "study",
    "summary",
    "train",
    "verify",
]
"""The promise to those who import the package: a name may be added here, never taken away."""

HEAVY = ("torch", "torchvision", "timm", "numpy", "PIL", "sklearn", "rich")


def modules_after(code: str) -> set[str]:
    script = f"import sys, json\n{code}\nprint(json.dumps(list(sys.modules)), file=sys.__stdout__)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_the_public_names_are_pinned() -> None:
    assert fieldmark.__all__ == NAMES
    assert dir(fieldmark) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_can_be_imported(name: str) -> None:
    assert getattr(fieldmark, name) is not None


def test_public_classes_and_functions_are_documented() -> None:
    things = [getattr(fieldmark, name) for name in NAMES if name != "__version__"]
    assert all((thing.__doc__ or "").strip() for thing in things)


def test_each_name_is_the_one_of_the_module_that_defines_it() -> None:
    for name in NAMES:
        thing = getattr(fieldmark, name)
        if name != "__version__":
            assert getattr(importlib.import_module(thing.__module__), name) is thing


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        fieldmark.trian  # noqa: B018


def test_a_star_import_brings_exactly_the_public_names() -> None:
    names: dict[str, object] = {}
    exec("from fieldmark import *", names)
    names.pop("__builtins__")
    assert sorted(names) == sorted(NAMES)


def test_importing_the_package_imports_nothing_heavy() -> None:
    assert modules_after("import fieldmark").isdisjoint(HEAVY)


def test_help_imports_nothing_heavy() -> None:
    # The robust form of "help answers in a third of a second".
    code = """
import contextlib, io
from fieldmark.__main__ import main
sys.argv = ["fieldmark", "--help"]
with contextlib.redirect_stdout(io.StringIO()) as text, contextlib.suppress(SystemExit):
    main()
assert "train" in text.getvalue()
"""
    modules = modules_after(code)
    assert "fieldmark.cli" in modules
    assert modules.isdisjoint(HEAVY)
