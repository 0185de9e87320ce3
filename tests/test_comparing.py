"""Comparing finished runs: what is written, what is never touched, and what is refused."""

import csv
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fieldmark
from fieldmark.base.errors import RunError
from fieldmark.comparing import Comparison, in_order, name_runs
from fieldmark.data.split_table import Splits, read_splits, write_splits
from fieldmark.evaluation.predictions import read_predictions, write_predictions
from fieldmark.run import Run, load

Snapshot = Callable[[Path], dict[str, object]]
CallMain = Callable[..., Any]


def another(run: Run, place: Path, *, seed: int = 0) -> Path:
    """Copy a run and put answers of chance in the place of its own."""
    assert run.path is not None
    shutil.copytree(run.path, place)
    table = read_predictions(place / "predictions.csv")
    logits_NC = np.random.default_rng(seed).standard_normal(table.logits_NC.shape, np.float32)
    write_predictions(place / "predictions.csv", replace(table, logits_NC=logits_NC))
    return place


def rewrite(table: Path, change: Callable[[dict[str, str]], dict[str, str] | None]) -> None:
    """Change the rows of a table, or drop those for which None comes back."""
    with table.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    kept = [changed for row in rows if (changed := change(dict(row)))]
    with table.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(kept)


def first_test_photo(run: Path) -> str:
    return read_splits(run / "splits.csv").paths("test")[0]


@pytest.fixture(scope="module")
def chance(tmp_path_factory: pytest.TempPathFactory, finished_quick: Run) -> Path:
    """A run of the same test photos that names them by chance; read only."""
    return another(finished_quick, tmp_path_factory.mktemp("chance") / "chance")


@pytest.fixture(scope="module")
def compared(
    tmp_path_factory: pytest.TempPathFactory, finished_quick: Run, chance: Path
) -> Comparison:
    """The two compared; read only."""
    out = tmp_path_factory.mktemp("compared") / "out"
    comparison: Comparison = fieldmark.compare([finished_quick, chance], out=out)
    return comparison


def test_a_comparison_leaves_these_files_and_no_others(compared: Comparison) -> None:
    assert {path.name for path in compared.path.iterdir()} == {
        "compare.html",
        "compare.csv",
        "compare.json",
    }
    assert compared.page == compared.path / "compare.html"
    assert compared.table == compared.path / "compare.csv"


def test_the_numbers_are_those_of_the_runs(
    compared: Comparison, finished_quick: Run, chance: Path
) -> None:
    for side, run in zip(compared.compared.runs, (finished_quick, load(chance)), strict=True):
        assert run.path is not None
        assert side.name == run.path.name
        assert side.accuracy == run.evaluation.accuracy
        assert side.loss == run.evaluation.loss
        assert side.f1 == run.evaluation.f1.macro
    (pair,) = compared.pairs
    first, second = compared.compared.runs
    assert pair.accuracy.value == pytest.approx(second.accuracy.value - first.accuracy.value)
    assert pair.loss.value == pytest.approx(second.loss.value - first.loss.value)


def test_the_table_has_every_photo_that_is_not_named_alike(
    compared: Comparison, finished_quick: Run, chance: Path
) -> None:
    with compared.table.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    first = finished_quick.predictions.of_split("test")
    second = load(chance).predictions.of_split("test")
    differ = first.predicted_N != second.predicted_N
    expected = {path for path, differs in zip(first.paths, differ, strict=True) if differs}
    assert {row["path"] for row in rows} == expected
    assert len(expected) > 1
    for row in rows:
        assert len(row["sha256"]) == 64
        named = [row["predicted:quick"], row["predicted:chance"]]
        assert row["num_right"] == str(named.count(row["label"]))
        assert row["label"] == row["path"].split("/")[0]
        place = first.paths.index(row["path"])
        assert float(row["confidence:quick"]) == first.confidence_N[place]


def test_the_document_tells_the_pairs_by_the_names_of_the_runs(compared: Comparison) -> None:
    document = json.loads((compared.path / "compare.json").read_text("utf-8"))
    assert document["schema_version"] == 1
    assert document["verdict"] == compared.verdict
    assert [run["name"] for run in document["runs"]] == ["quick", "chance"]
    (pair,) = document["pairs"]
    assert (pair["first"], pair["second"]) == ("quick", "chance")
    assert pair["accuracy"]["value"] == compared.pairs[0].accuracy.value
    assert document["num_disagreements"] == len(compared.disagreements)


def test_the_page_shows_the_photos_on_which_they_disagree(compared: Comparison) -> None:
    page = compared.page.read_text("utf-8")
    assert page.count("data:image/webp") >= min(12, len(compared.disagreements))
    assert "fieldmark.compare(runs=[" in page


def test_runs_are_never_written_to(
    tmp_path: Path, finished_quick: Run, chance: Path, snapshot: Snapshot
) -> None:
    assert finished_quick.path is not None
    before = [snapshot(finished_quick.path), snapshot(chance)]
    fieldmark.compare([finished_quick.path, str(chance)], out=tmp_path / "out")
    assert [snapshot(finished_quick.path), snapshot(chance)] == before


def test_without_out_the_next_free_folder_is_taken(
    tmp_path: Path, finished_quick: Run, chance: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    places = [fieldmark.compare([finished_quick, chance]).path for _ in range(2)]
    assert places == [Path("runs/compare-001"), Path("runs/compare-002")]


def test_photos_of_one_group_in_either_run_are_one_piece_of_evidence(
    tmp_path: Path, finished_quick: Run, chance: Path
) -> None:
    grouped = tmp_path / "grouped"
    shutil.copytree(chance, grouped)
    splits = read_splits(grouped / "splits.csv")
    rows = tuple(replace(row, group=f"{row.label}-{row.split}") for row in splits.rows)
    write_splits(grouped / "splits.csv", Splits(rows=rows))
    compared = fieldmark.compare([finished_quick, grouped], out=tmp_path / "out").compared
    assert compared.num_groups == 3
    (pair,) = compared.pairs
    assert pair.p_value > pair.mcnemar


def test_photos_that_have_moved_leave_a_page_without_pictures(
    tmp_path: Path, finished_quick: Run, chance: Path
) -> None:
    runs = []
    for run in (finished_quick.path, chance):
        assert run is not None
        runs.append(Path(shutil.copytree(run, tmp_path / run.name)))
        record = json.loads((runs[-1] / "run.json").read_text("utf-8"))
        record["photos"] = str(tmp_path / "gone")
        (runs[-1] / "run.json").write_text(json.dumps(record))
    page = fieldmark.compare(runs, out=tmp_path / "out").page.read_text("utf-8")
    assert "Thumbnails are missing, since the photos have moved." in page
    assert "data:image/webp" not in page


# What is refused


def test_one_run_is_no_comparison(finished_quick: Run) -> None:
    with pytest.raises(RunError, match=r"two runs or more; 1 given\. Name another"):
        fieldmark.compare([finished_quick])


def test_the_same_run_twice_is_refused_also_as_its_bundle(finished_quick: Run) -> None:
    with pytest.raises(RunError, match="is given twice"):
        fieldmark.compare([finished_quick, finished_quick.bundle])


def test_a_bundle_without_its_run_is_refused(tmp_path: Path, finished_quick: Run) -> None:
    bundle = shutil.copytree(finished_quick.bundle, tmp_path / "model")
    with pytest.raises(RunError, match="bundle without its run folder"):
        fieldmark.compare([finished_quick, bundle])


def test_test_photos_that_differ_are_named_and_nothing_is_written(
    tmp_path: Path, finished_quick: Run, chance: Path
) -> None:
    other = Path(shutil.copytree(chance, tmp_path / "other"))
    missing = first_test_photo(other)
    rewrite(other / "predictions.csv", lambda row: None if row["path"] == missing else row)
    with pytest.raises(RunError, match="quick has 1 photo that other has not") as refused:
        fieldmark.compare([finished_quick, other], out=tmp_path / "out")
    assert missing in str(refused.value)
    assert not (tmp_path / "out").exists()


def test_another_content_under_the_same_name_is_refused(
    tmp_path: Path, finished_quick: Run, chance: Path
) -> None:
    other = Path(shutil.copytree(chance, tmp_path / "other"))
    path = first_test_photo(other)

    def change(row: dict[str, str]) -> dict[str, str]:
        return row | {"sha256": "f" * 64} if row["path"] == path else row

    rewrite(other / "catalog.csv", change)
    with pytest.raises(RunError, match=r"another content \(.*ffffffffffff… in other"):
        fieldmark.compare([finished_quick, other], out=tmp_path / "out")


def test_nothing_is_written_into_the_photos_or_over_something(
    tmp_path: Path, finished_quick: Run, chance: Path, photos: Path
) -> None:
    with pytest.raises(RunError, match="inside the folder of photos"):
        fieldmark.compare([finished_quick, chance], out=photos / "compare")
    (tmp_path / "kept.txt").write_text("mine")
    with pytest.raises(RunError, match="already holds something"):
        fieldmark.compare([finished_quick, chance], out=tmp_path)


# Names and order


def test_runs_are_named_by_as_much_of_their_path_as_it_takes() -> None:
    assert name_runs([Path("/a/x"), Path("/a/y")]) == ("x", "y")
    assert name_runs([Path("/a/run-001"), Path("/b/run-001"), Path("/b/c")]) == (
        "a/run-001",
        "b/run-001",
        "b/c",
    )


def test_rows_in_another_order_are_the_same_photos(
    tmp_path: Path, finished_quick: Run, chance: Path, compared: Comparison
) -> None:
    turned = Path(shutil.copytree(chance, tmp_path / "chance"))
    table = read_predictions(turned / "predictions.csv")
    write_predictions(turned / "predictions.csv", in_order(table, table.paths[::-1]))
    again = fieldmark.compare([finished_quick, turned], out=tmp_path / "out")
    assert again.pairs == compared.pairs
    assert again.disagreements == compared.disagreements


def test_the_python_example_of_the_docs_runs(
    tmp_path: Path,
    finished_quick: Run,
    chance: Path,
    compared: Comparison,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    page = (Path(__file__).parents[1] / "docs/compare.md").read_text("utf-8")
    for place, run in (("run-001", finished_quick.path), ("run-002", chance)):
        assert run is not None
        shutil.copytree(run, tmp_path / "runs" / place)
    monkeypatch.chdir(tmp_path)
    exec(page.partition("```python\n")[2].partition("```")[0], {})
    printed = capsys.readouterr().out
    assert printed.startswith("run-001 and run-002 cannot be told apart on 6 photos: ")
    assert all(entry.path in printed for entry in compared.disagreements)


# The command line


def test_the_command_ends_with_both_tables_the_verdict_and_the_places(
    call_main: CallMain, tmp_path: Path, finished_quick: Run, chance: Path, compared: Comparison
) -> None:
    outcome = call_main("compare", finished_quick.path, chance, "--out", tmp_path / "out")
    assert outcome.code == 0
    assert compared.verdict in outcome.out
    assert f"Page        {tmp_path / 'out' / 'compare.html'}\n" in outcome.out
    assert [line.partition(":")[0] for line in outcome.err.splitlines()] == ["Runs", "Page"]
    page = (tmp_path / "out" / "compare.html").read_text("utf-8")
    assert f"fieldmark compare {finished_quick.path} {chance}" in page


def test_a_run_that_is_none_exits_with_2_and_a_message(
    call_main: CallMain, tmp_path: Path, chance: Path
) -> None:
    outcome = call_main("compare", chance, tmp_path)
    assert outcome.code == 2
    assert "is not a run folder" in outcome.err
