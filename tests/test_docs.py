"""The documentation says what is so: its examples run, its tables agree with the code."""

import ast
import importlib.util
import json
import re
import shlex
import shutil
import tomllib
from collections.abc import Iterator
from dataclasses import fields, replace
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from typer.core import TyperGroup
from typer.main import get_command

import fieldmark
from fieldmark.base.errors import RecipeError
from fieldmark.cli import app
from fieldmark.recipe import BUILT_IN, Recipe, load_recipe, override

ROOT = Path(__file__).parents[1]
BENCHMARKS = tuple(
    path.stem
    for path in sorted((ROOT / "benchmarks").glob("*.py"))
    if "FiguresTable(" in path.read_text("utf-8") and path.stem != "figures_table"
)
PAGES = tuple(page for place in (".", "docs", "benchmarks") for page in (ROOT / place).glob("*.md"))
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]+\]\(([^)#]+)[^)]*\)")
RANGE = re.compile(r"(over )?([\d.]+)( or more| to below |, up to | to | and below |$)([\d.]+)?")
EPSILON = 1e-9


def blocks(page: Path, language: str) -> list[str]:
    return [text for kind, text in FENCE.findall(page.read_text("utf-8")) if kind == language]


def shell_lines() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        for block in blocks(page, "sh"):
            for line in block.replace("\\\n", " ").splitlines():
                if line.strip():
                    yield page.name, line


@cache
def table_of_fields() -> dict[str, tuple[str, str]]:
    """Return (default, allowed) of each recipe field, as docs/recipes.md has them."""
    text = (ROOT / "docs/recipes.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\w+\.\w+)` \| (.+?) \| (.+?) \| .+ \|$", text, re.MULTILINE)
    return {name: (default, allowed) for name, default, allowed in rows}


def fields_of_recipe() -> dict[str, Any]:
    """Return the default of each field of a recipe, by section.key."""
    sections = [section.name for section in fields(Recipe) if section.name != "name"]
    return {
        f"{section}.{key.name}": getattr(getattr(Recipe(), section), key.name)
        for section in sections
        for key in fields(getattr(Recipe(), section))
    }


def with_value(name: str, value: Any) -> Recipe:
    """Return a recipe with one field changed, past the reading of TOML."""
    section, _, key = name.partition(".")
    changed = replace(getattr(Recipe(), section), **{key: value})
    return replace(Recipe(), **{section: changed})


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_cli", ROOT / "docs/generate_cli.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def workplace(photos: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as the Python examples take it: photos, a.jpg, and `train` with tiny weights."""
    shutil.copytree(photos, tmp_path / "photos")
    shutil.copy(next(photos.rglob("*.png")), tmp_path / "a.jpg")
    monkeypatch.chdir(tmp_path)
    train = fieldmark.train

    def train_with_tiny_weights(*given: Any, **asked: Any) -> Any:
        return train(*given, weights=str(weights), **asked)

    monkeypatch.setattr(fieldmark, "train", train_with_tiny_weights)
    return tmp_path


def test_help_in_the_docs_is_what_the_commands_print(generator: ModuleType) -> None:
    assert (ROOT / "docs/cli.md").read_text("utf-8") == generator.cli_page(), (
        "docs/cli.md is out of date: run '.venv/bin/python docs/generate_cli.py'"
    )


@pytest.mark.parametrize(("page", "line"), list(shell_lines()))
def test_shell_examples_use_commands_and_flags_that_exist(page: str, line: str) -> None:
    program, *arguments = shlex.split(line, comments=True)
    if program == "make":
        targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
        assert {word for word in arguments if "=" not in word} <= set(targets)
    elif program == "fieldmark":
        group = get_command(app)
        assert isinstance(group, TyperGroup)
        verb, *rest = arguments
        values = group.commands[verb].make_context(verb, rest).params
        known = values.get("recipe") if values.get("recipe") in BUILT_IN else "quick"
        override(load_recipe(str(known)), values.get("sets") or [])
    elif program.startswith(".venv/bin/python"):
        assert (ROOT / arguments[0]).is_file()
    else:
        assert program in {"pip", "uv", "python"}


def test_every_command_stands_in_the_readme() -> None:
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    shown = {line.split()[1] for page, line in shell_lines() if line.startswith("fieldmark ")}
    assert shown >= set(group.commands)


@pytest.mark.parametrize("page", ["README.md", "docs/index.md"])
def test_python_examples_run(
    page: str, workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if page != "README.md":
        fieldmark.train("photos", out="run")
    names: dict[str, Any] = {}
    for block in blocks(ROOT / page, "python"):
        exec(compile(block, page, "exec"), names)
    printed = capsys.readouterr().out
    assert str(fieldmark.load("run").evaluation.accuracy) in printed
    assert "a.jpg" in printed or "photos/sky/00.png" in printed


def test_toml_examples_are_recipes(tmp_path: Path) -> None:
    for block in blocks(ROOT / "docs/recipes.md", "toml"):
        (tmp_path / "mine.toml").write_text(block)
        load_recipe(str(tmp_path / "mine.toml"))


def test_built_in_recipes_are_quoted_word_for_word() -> None:
    quoted = blocks(ROOT / "docs/recipes.md", "toml")
    for name in BUILT_IN:
        assert (ROOT / f"src/fieldmark/recipes/{name}.toml").read_text("utf-8") in quoted, name


def test_every_recipe_field_is_explained_with_its_default() -> None:
    explained = {name: default for name, (default, _) in table_of_fields().items()}
    assert explained.keys() == fields_of_recipe().keys()
    for name, value in fields_of_recipe().items():
        shown = "not set" if value is None else f"`{json.dumps(value)}`"
        assert explained[name] == shown, name


@pytest.mark.parametrize(
    ("name", "allowed"), [(name, allowed) for name, (_, allowed) in table_of_fields().items()]
)
def test_ranges_in_the_docs_are_those_of_the_code(name: str, allowed: str) -> None:
    for choice in re.findall(r"`(.+?)`", allowed):
        with_value(name, json.loads(choice))
    if allowed.startswith("`"):
        if "a path" not in allowed:
            with pytest.raises(RecipeError):
                with_value(name, "no such choice")
        return
    if not (bounds := RANGE.fullmatch(allowed)):
        assert allowed in {
            "any timm name",
            "a table",
            "a share, or two",
            "a whole number",
            "text",
            "a list of codes",
        }
        return
    over, low, link, high = bounds.groups()
    step = 1 if isinstance(fields_of_recipe()[name], int) or "." not in f"{low}{high}" else EPSILON
    refused = [float(low) if over else float(low) - step]
    inside = [] if over else [low]
    if high:
        refused.append(float(high) if "below" in link else float(high) + step)
        inside += [] if "below" in link else [high]
    for text in inside:
        with_value(name, json.loads(text))
    for value in refused:
        with pytest.raises(RecipeError):
            with_value(name, int(value) if value == int(value) else value)


def test_resolved_recipe_can_be_trained_with_again(finished_quick: Any) -> None:
    resolved = load_recipe(str(finished_quick.path / "resolved.toml"))
    assert resolved.model.backbone == "resnet18"


def test_every_file_and_column_of_a_run_is_explained(
    finished_quick: Any, finished_finetune: Any
) -> None:
    text = (ROOT / "docs/run-folder.md").read_text("utf-8")
    terms = set(re.findall(r"`([^`]+)`", text))
    for run in (finished_quick.path, finished_finetune.path):
        for file in run.rglob("*"):
            assert {file.name, f"{file.name}/"} & terms, file.name
        for table in run.glob("*.csv"):
            names = table.read_text("utf-8").splitlines()[0].split(",")
            missing = {name for name in names if not name.startswith("logit:")} - terms
            assert not missing, table.name
        for file in ("run.json", "evaluation.json"):
            missing = set(json.loads((run / file).read_text("utf-8"))) - terms
            assert not missing, file
        assert set(tomllib.loads((run / "resolved.toml").read_text("utf-8"))) <= {
            "schema_version",
            "reasons",
            *(section.name for section in fields(Recipe)),
        }


def test_run_folder_in_the_readme_names_the_files_of_a_run(
    finished_quick: Any, finished_finetune: Any
) -> None:
    tree = (ROOT / "README.md").read_text("utf-8").partition("runs/run-001/\n")[2]
    named = {line.split()[0].rstrip("/") for line in tree.partition("```")[0].splitlines()}
    runs = (finished_quick.path, finished_finetune.path)
    assert named == {file.name for run in runs for file in run.iterdir()}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page: Path) -> None:
    for target in LINK.findall(page.read_text("utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("script", BENCHMARKS)
def test_benchmark_table_has_the_markers_and_columns_that_its_script_renews(script: str) -> None:
    source = (ROOT / f"benchmarks/{script}.py").read_text("utf-8")
    (call,) = (
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "FiguresTable"
    )
    given = {key.arg: ast.literal_eval(key.value) for key in call.keywords}
    begin, end = f"<!-- {given['name']}: begin -->", f"<!-- {given['name']}: end -->"
    before, _, after = (ROOT / "benchmarks/README.md").read_text("utf-8").partition(begin)
    header, _, *rows = after.partition(end)[0].strip().splitlines()
    assert header == f"| {' | '.join(given['header'])} |"
    assert rows or before.rstrip().endswith("Not recorded yet.")
    assert {row.count("|") for row in rows} <= {header.count("|")}


def test_python_names_in_the_docs_are_public() -> None:
    for page in PAGES:
        names = set(re.findall(r"`fieldmark\.(\w+)", page.read_text("utf-8")))
        assert names <= set(fieldmark.__all__), page.name
