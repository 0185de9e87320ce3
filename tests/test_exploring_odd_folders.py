"""Exploring folders that are hardly any: described as far as they go, and no error of ours."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import fieldmark
from fieldmark.base.errors import DataError
from fieldmark.exploring import Exploration

WritePhotos = Callable[..., Path]
CallMain = Callable[..., Any]

FILES = {"explore.html", "findings.json", "labels.csv", "catalog.csv"}
"""All but splits.csv."""
FAST = ("FM501", "FM502", "FM601")


def explore(root: Path, out: Path, **given: Any) -> Exploration:
    asked = {"weights": "none", "ignore": FAST, **given}
    return fieldmark.explore(root, out=out, **asked)


@pytest.fixture(scope="module")
def odd_folders(write_photos: WritePhotos, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for each way in which there is little to look at."""
    root = tmp_path_factory.mktemp("odd")
    cherry, sky = (190, 30, 50), (70, 120, 210)
    two = {"cherry": cherry, "sky": sky}
    write_photos(root / "one class", colours={"cherry": cherry})
    write_photos(root / "one each", colours=two, count=1)
    write_photos(root / "two each", colours=two, count=2)
    write_photos(root / "one of a class", colours=two, count=8)
    for path in sorted((root / "one of a class" / "sky").iterdir())[1:]:
        path.unlink()
    (root / "empty").mkdir()
    (root / "empty classes" / "cherry").mkdir(parents=True)
    (root / "loose").mkdir()
    shutil.copy(root / "one each" / "sky" / "00.png", root / "loose" / "photo.png")
    for name in ("cherry", "sky"):
        (root / "broken" / name).mkdir(parents=True)
        (root / "broken" / name / "empty.jpg").write_bytes(b"")
        (root / "notes" / name).mkdir(parents=True)
        (root / "notes" / name / "readme.txt").write_text("text")
        (root / "copies" / name).mkdir(parents=True)
        for number in range(4):
            shutil.copy(
                root / "one each" / name / "00.png", root / "copies" / name / f"{number}.png"
            )
    return root


ODD = [
    ("one class", 12, {"FM402"}, "There is only one class, 'cherry' with 12 usable photos"),
    ("one each", 2, {"FM402"}, "Only one usable photo of: 'cherry', 'sky'"),
    ("two each", 4, {"FM402"}, "No photo is left for validation"),
    ("one of a class", 9, {"FM401", "FM402"}, "Only one usable photo of: 'sky'"),
    ("loose", 0, {"FM101"}, "1 photos lie in no class folder, such as photo.png"),
    ("broken", 0, {"FM101"}, "2 × empty file"),
    ("copies", 8, {"FM306", "FM402"}, "only 2 groups of copies"),
]


@pytest.mark.parametrize("with_weights", [False, True])
@pytest.mark.parametrize(("name", "num_photos", "found", "note"), ODD)
def test_a_folder_that_is_hardly_any_is_described_and_why_it_cannot_be_trained_on(
    name: str,
    num_photos: int,
    found: set[str],
    note: str,
    odd_folders: Path,
    weights: Path,
    tmp_path: Path,
    recorder: Any,
    *,
    with_weights: bool,
) -> None:
    result = explore(
        odd_folders / name,
        tmp_path / "out",
        weights=str(weights) if with_weights else "none",
        progress=recorder,
        ignore=("FM601",) if with_weights else FAST,
    )
    assert {path.name for path in result.path.iterdir()} == FILES
    assert result.splits is None
    assert len(result.catalog.usable) == num_photos == result.audit.num_photos
    assert {finding.code for finding in result.audit.findings} == found
    told = [text for text in recorder.notes if text.startswith("These photos cannot be trained on")]
    assert len(told) == 1
    assert note in told[0]
    page = result.page.read_text("utf-8")
    assert page.rstrip().endswith("</html>")
    assert all(code in page for code in found)


@pytest.mark.parametrize("name", [name for name, *_ in ODD])
def test_the_terminal_shows_such_a_folder_without_an_error(
    name: str, odd_folders: Path, tmp_path: Path, call_main: CallMain
) -> None:
    muted = [part for code in FAST for part in ("--ignore", code)]
    outcome = call_main(
        "explore", odd_folders / name, "--weights", "none", "--out", tmp_path / "out", *muted
    )
    assert outcome.code == 0
    assert "Traceback" not in outcome.err
    assert f"Page        {tmp_path / 'out' / 'explore.html'}" in outcome.out


NONE = [
    ("empty", "the folder is empty"),
    ("empty classes", "the folder is empty"),
    ("notes", "2 × not an image (.txt)"),
]


@pytest.mark.parametrize("with_weights", [False, True])
@pytest.mark.parametrize(("name", "message"), NONE)
def test_a_folder_without_anything_like_a_photo_is_refused_and_nothing_is_left(
    name: str,
    message: str,
    odd_folders: Path,
    weights: Path,
    tmp_path: Path,
    *,
    with_weights: bool,
) -> None:
    with pytest.raises(DataError) as refused:
        explore(
            odd_folders / name,
            tmp_path / "out",
            weights=str(weights) if with_weights else "none",
        )
    assert message in str(refused.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", [name for name, _ in NONE])
def test_the_command_refuses_such_a_folder_with_what_a_folder_must_look_like(
    name: str, odd_folders: Path, tmp_path: Path, call_main: CallMain
) -> None:
    outcome = call_main(
        "explore", odd_folders / name, "--weights", "none", "--out", tmp_path / "out"
    )
    assert outcome.code == 2
    assert "photos/cat/1.jpg" in outcome.err
    assert "Traceback" not in outcome.err
