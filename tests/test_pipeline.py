"""Training on folders with flaws: broken files, wrong labels, copies, and groups of the user's."""

import csv
import html
import json
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import fieldmark
from fieldmark.audit.findings import Audit
from fieldmark.base.errors import DataError, SplitError
from fieldmark.evaluation.comparisons import read_comparisons
from fieldmark.run import Run

Train = Callable[..., Run]
WritePhotos = Callable[..., Path]
Snapshot = Callable[[Path], dict[str, object]]

FAST = ("FM501", "FM502", "FM601")
"""The checks that fit models."""


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def folder_of(run: Run) -> Path:
    assert run.path is not None
    return run.path


def audit_of(run: Run) -> Audit:
    assert run.audit is not None
    return run.audit


def record_of(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "run.json").read_text("utf-8"))
    return content


def write_lines(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


# Broken files


def spoil(root: Path) -> dict[str, str]:
    """Write sixteen broken files into the class sky; return how each one's reason begins."""
    folder = root / "sky"
    generator = np.random.default_rng(5)
    noise = Image.fromarray(generator.integers(0, 255, (60, 80, 3), dtype=np.uint8))
    noise.save(root / "whole.jpg")
    whole = (root / "whole.jpg").read_bytes()
    (root / "whole.jpg").unlink()
    begins = {}
    for number in range(4):
        broken = {
            f"truncated {number}.jpg": (whole[: len(whole) // (number + 2)], "truncated"),
            f"empty {number}.png": (b"", "empty file"),
            f"page {number}.jpg": (b"<html>not found</html>", "not an image"),
            f"print {number}.jpg": (b"%PDF-1.4\n%", "not an image"),
        }
        for name, (content, reason) in broken.items():
            (folder / name).write_bytes(content)
            begins[f"sky/{name}"] = reason
    return begins


def test_a_folder_with_broken_files_is_trained_on_and_every_one_of_them_is_listed(
    write_photos: WritePhotos, snapshot: Snapshot, train_tiny: Train, tmp_path: Path
) -> None:
    root = write_photos(tmp_path / "photos", count=101)
    broken = spoil(root)
    shutil.copy(root / "leaf" / "00.png", root / "leaf" / "named.jpg")
    assert len(broken) / 320 == 0.05
    before = snapshot(root)
    run = train_tiny(tmp_path / "run", photos=root, ignore=FAST)
    assert snapshot(root) == before
    assert run.evaluation.accuracy.value >= 0.95
    rows = {row["path"]: row for row in table(folder_of(run) / "catalog.csv")}
    assert len(rows) == 320
    excluded = {path: row for path, row in rows.items() if row["status"] == "excluded"}
    assert excluded.keys() == broken.keys()
    assert all(row["reason"].startswith(broken[path]) for path, row in excluded.items())
    assert rows["leaf/named.jpg"]["reason"] == "PNG file named .jpg"
    page = html.unescape(run.report.read_text("utf-8"))
    assert [path for path in (*broken, "leaf/named.jpg") if path not in page] == []
    listed = {
        path
        for code in ("FM101", "FM102")
        for one in getattr(audit_of(run).of_code(code), "evidence", ())
        for path in one.paths
    }
    assert listed == broken.keys()
    told = record_of(folder_of(run))
    assert told["images"] == {"met": 320, "used": 303, "repaired": 1, "excluded": 16}
    assert "16 files that look like photos were left out" in told["warnings"][0]


# Labels put right


@pytest.fixture(scope="module")
def flipped(write_photos: WritePhotos, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty photos, four of each of two classes in the folder of the other."""
    root = write_photos(tmp_path_factory.mktemp("flipped") / "photos", count=20)
    for number in range(4):
        (root / "sky" / f"0{number}.png").rename(root / "leaf" / f"sky-{number}.png")
        (root / "leaf" / f"0{number}.png").rename(root / "sky" / f"leaf-{number}.png")
    return root


WRONG = [f"leaf/sky-{number}.png" for number in range(4)] + [
    f"sky/leaf-{number}.png" for number in range(4)
]


def test_wrong_labels_are_found_put_right_and_shown_to_have_cost_accuracy(
    flipped: Path, snapshot: Snapshot, weights: Path, train_tiny: Train, tmp_path: Path
) -> None:
    before = snapshot(flipped)
    explored = fieldmark.explore(
        flipped,
        weights=str(weights),
        ignore=("FM502", "FM601"),
        overrides=["train.precision=float32"],
        out=tmp_path / "explored",
    )
    header, *lines = explored.labels.read_text("utf-8").splitlines()
    found = [line.partition(",")[0] for line in lines]
    assert set(found) <= set(WRONG)
    assert len(found) >= 6
    edited = [f"{line}relabel" for line in lines] + ["cherry/00.png,cherry,,blurred,exclude"]
    labels = write_lines(tmp_path / "edited.csv", header, *edited)
    run = train_tiny(tmp_path / "run", photos=flipped, labels=labels, ignore=FAST)
    assert snapshot(flipped) == before
    rows = {row["path"]: row for row in table(folder_of(run) / "catalog.csv")}
    for path in found:
        was = path.partition("/")[0]
        assert rows[path]["label"] == {"leaf": "sky", "sky": "leaf"}[was]
        assert rows[path]["reason"] == f"relabelled from {was}"
    assert rows["cherry/00.png"]["status"] == "excluded"
    told = read_comparisons(folder_of(run)).labels
    assert told is not None
    assert (told.num_relabelled, told.num_excluded) == (len(found), 1)
    assert [change.path for change in told.changes] == [*found, "cherry/00.png"]
    assert told.num_test == run.evaluation.num_images
    assert told.before.value < told.after.value == run.evaluation.accuracy.value
    gain = told.after.value - told.before.value
    assert told.difference.value == pytest.approx(gain)
    assert told.difference.low <= gain <= told.difference.high
    page = html.unescape(run.report.read_text("utf-8"))
    assert f"{len(found)} photos were relabelled and 1 photo left out" in page
    assert all(path in page for path in found)
    assert record_of(folder_of(run))["labels"] == str(labels)


def test_a_labels_file_that_changes_nothing_is_told_and_changes_nothing(
    finished_quick: Run, train_tiny: Train, tmp_path: Path, recorder: Any
) -> None:
    labels = write_lines(
        tmp_path / "labels.csv", "path,label,new_label,reason,action", "sky/00.png,sky,leaf,,"
    )
    run = train_tiny(tmp_path / "run", labels=labels, ignore=FAST, progress=recorder)
    assert sum("asks for no change" in note for note in recorder.notes) == 1
    assert read_comparisons(folder_of(run)).labels is None
    for name in ("catalog.csv", "splits.csv", "predictions.csv"):
        ours, plain = folder_of(run) / name, folder_of(finished_quick) / name
        assert ours.read_bytes() == plain.read_bytes()


def test_labels_that_do_not_fit_the_folder_are_refused_and_nothing_is_left(
    train_tiny: Train, tmp_path: Path
) -> None:
    labels = write_lines(tmp_path / "labels.csv", "path,new_label,action", "sky/0.png,leaf,relabel")
    with pytest.raises(DataError, match=r"row 2: there is no sky/0\.png"):
        train_tiny(tmp_path / "run", labels=labels)
    assert not (tmp_path / "run").exists()


# Copies


def test_copies_that_a_naive_split_would_leak_are_compared_with(
    write_photos: WritePhotos, train_tiny: Train, tmp_path: Path
) -> None:
    root = write_photos(tmp_path / "photos", count=15)
    for path in sorted(root.rglob("*[0-9].png")):
        shutil.copy(path, path.with_name(f"{path.stem} copy.png"))
    run = train_tiny(tmp_path / "run", photos=root, ignore=FAST)
    sides = defaultdict(set)
    for row in table(folder_of(run) / "splits.csv"):
        sides[row["path"].replace(" copy", "")].add((row["split"], row["group"]))
    assert len(sides) == 45
    assert all(len(found) == 1 for found in sides.values())
    found = read_comparisons(folder_of(run)).naive_split
    assert found is not None
    assert found.num_leaks > 0.4 * found.num_test_naive
    assert found.num_test_clean == run.evaluation.num_images
    assert f"{found.num_leaks} test photos of {found.num_test_naive}" in html.unescape(
        run.report.read_text("utf-8")
    )


@pytest.fixture(scope="module")
def leaking(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The photos in folders train and test, three of the test photos in training as well."""
    root = tmp_path_factory.mktemp("leaking") / "photos"
    shutil.copytree(photos, root / "train")
    for number, path in enumerate(sorted((root / "train").rglob("*.png"))):
        place = root / "test" / path.parent.name / path.name
        place.parent.mkdir(parents=True, exist_ok=True)
        if number % 12 == 0:
            shutil.copy(path, path.with_name(f"copy of {path.name}"))
        if number % 4 == 0:
            path.rename(place)
    return root


def test_what_leaks_across_a_given_split_is_left_out_and_told(
    leaking: Path, train_tiny: Train, tmp_path: Path
) -> None:
    run = train_tiny(tmp_path / "run", photos=leaking, ignore=FAST)
    rows = {row["path"]: row for row in table(folder_of(run) / "catalog.csv")}
    left_out = {path: row for path, row in rows.items() if row["status"] == "excluded"}
    assert left_out.keys() == {f"train/{name}/copy of 00.png" for name in ("cherry", "leaf", "sky")}
    assert all("same bytes as test/" in row["reason"] for row in left_out.values())
    finding = audit_of(run).of_code("FM305")
    assert finding is not None
    assert finding.severity == "warning"
    assert read_comparisons(folder_of(run)).given_split is None


def test_leaks_that_are_kept_are_an_error_and_set_apart(
    leaking: Path, train_tiny: Train, tmp_path: Path
) -> None:
    overrides = ["split.leaks=keep"]
    run = train_tiny(tmp_path / "run", photos=leaking, ignore=FAST, overrides=overrides)
    found = read_comparisons(folder_of(run)).given_split
    assert found is not None
    assert (found.num_leaked, found.num_excluded) == (3, 0)
    assert found.all.value == run.evaluation.accuracy.value
    assert audit_of(run).serious[0].code == "FM305"
    assert audit_of(run).serious[0].severity == "error"
    assert "3 test photos of the given split have copies" in html.unescape(
        run.report.read_text("utf-8")
    )


# Groups of the user's


@pytest.fixture(scope="module")
def patients(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The photos, two of each class of each of six patients."""
    root = tmp_path_factory.mktemp("patients") / "photos"
    for path in sorted(photos.rglob("*.png")):
        place = root / path.parent.name / f"p{int(path.stem) // 2}-{path.name}"
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place)
    return root


def groups_met(run: Run) -> dict[str, set[tuple[str, str]]]:
    """Return the groups and sides of each class's patients."""
    met = defaultdict(set)
    for row in table(folder_of(run) / "splits.csv"):
        met[row["path"].partition("-")[0]].add((row["group"], row["split"]))
    return met


@pytest.mark.parametrize("by_table", [False, True])
def test_groups_by_an_expression_or_a_table_stay_on_one_side(
    patients: Path, train_tiny: Train, tmp_path: Path, *, by_table: bool
) -> None:
    group_by = r"^\w+/p\d"
    if by_table:
        names = sorted(path.relative_to(patients).as_posix() for path in patients.rglob("*.png"))
        lines = [f"{name},{name.partition('-')[0]}" for name in names]
        file = write_lines(tmp_path / "meta.csv", "path,patient", *lines)
        group_by = f"{file}:patient"
    run = train_tiny(tmp_path / "run", photos=patients, group_by=group_by, ignore=FAST)
    met = groups_met(run)
    assert len(met) == 18
    assert all(len(found) == 1 for found in met.values())
    assert len({group for found in met.values() for group, _ in found}) == 18
    assert (
        Counter(row["group"] for row in table(folder_of(run) / "splits.csv")).most_common(1)[0][1]
        == 2
    )
    assert audit_of(run).groups.num_groups == 18
    content = (folder_of(run) / "resolved.toml").read_text("utf-8")
    assert "group_by" in content
    found = read_comparisons(folder_of(run)).naive_split
    assert found is not None
    assert f"{found.num_leaks} test photo" in html.unescape(run.report.read_text("utf-8"))


def test_an_expression_that_fits_no_photo_is_refused_and_nothing_is_left(
    train_tiny: Train, tmp_path: Path
) -> None:
    with pytest.raises(SplitError, match="gives no photo a group"):
        train_tiny(tmp_path / "run", group_by="patient-[0-9]+")
    assert not (tmp_path / "run").exists()


# One dataset twice


def test_an_archive_that_holds_its_photos_twice_is_not_trained_on(
    photos: Path, train_tiny: Train, tmp_path: Path
) -> None:
    root = tmp_path / "archive"
    shutil.copytree(photos, root / "natural_images")
    shutil.copytree(photos, root / "data" / "natural_images")
    with pytest.raises(DataError, match="holds one dataset twice"):
        train_tiny(tmp_path / "run", photos=root)
    assert not (tmp_path / "run").exists()
    trained = train_tiny(tmp_path / "good", photos=root / "natural_images", ignore=FAST)
    assert trained.evaluation.classes == ("cherry", "leaf", "sky")
