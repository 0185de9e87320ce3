"""Photos end up in the folder of what they were named, and none is ever lost or replaced."""

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldmark.base.errors import DataError, RunError
from fieldmark.evaluation.answer import Prediction
from fieldmark.sorting import UNLIKE, UNSURE, Sorter, folder_names, require_sortable

CLASSES = ("cat", "dog")


def photo(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def said(path: Path, label: str = "cat", **verdict: Any) -> Prediction:
    return Prediction(path=str(path), ranking=((label, 0.9),), **verdict)


def contents(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_text() for path in files}


@pytest.mark.parametrize("link", [None, "hard", "symbolic"])
def test_each_photo_is_put_where_its_prediction_says_and_stays_where_it_was(
    tmp_path: Path, link: str | None
) -> None:
    source, out = tmp_path / "photos", tmp_path / "sorted"
    sorter = Sorter(out, classes=CLASSES, link=link)
    sorter.sort(said(photo(source / "1.jpg", "1"), "cat"))
    sorter.sort(said(photo(source / "2.jpg", "2"), "dog"))
    sorter.sort(said(photo(source / "3.jpg", "3"), "cat", doubt=("cat", "dog")))
    sorter.sort(said(photo(source / "4.jpg", "4"), "cat", is_withheld=True))
    sorter.sort(said(photo(source / "5.jpg", "5"), "dog", is_unfamiliar=True, doubt=CLASSES))
    sorter.sort(Prediction(path=str(photo(source / "6.jpg", "6")), ranking=(), error="damaged"))
    assert contents(out) == {
        "cat/1.jpg": "1",
        "dog/2.jpg": "2",
        f"{UNSURE}/3.jpg": "3",
        f"{UNSURE}/4.jpg": "4",
        f"{UNLIKE}/5.jpg": "5",
    }
    assert contents(source) == {f"{number}.jpg": str(number) for number in range(1, 7)}
    assert sorter.summary().counts == {UNSURE: 2, UNLIKE: 1, "cat": 1, "dog": 1}
    target = out / "cat/1.jpg"
    assert target.is_symlink() == (link == "symbolic")
    assert target.samefile(source / "1.jpg") == (link is not None)


@pytest.mark.parametrize("link", [None, "hard", "symbolic"])
def test_photos_of_one_name_are_all_kept_and_the_same_command_adds_none(
    tmp_path: Path, link: str | None
) -> None:
    files = [photo(tmp_path / f"photos/{n}/IMG.jpg", f"photo {n}") for n in range(20)]
    sorter = Sorter(tmp_path / "sorted", classes=CLASSES, link=link)
    for file in files:
        sorter.sort(said(file))
    once = contents(tmp_path / "sorted")
    assert sorted(once.values()) == sorted(f"photo {n}" for n in range(20))
    again = Sorter(tmp_path / "sorted", classes=CLASSES, link=link)
    for file in reversed(files):
        again.sort(said(file))
    assert contents(tmp_path / "sorted") == once
    assert again.summary().num_there == 20


def test_what_lies_there_already_is_never_overwritten(tmp_path: Path) -> None:
    mine = photo(tmp_path / "sorted/cat/1.jpg", "somebody's own")
    file = photo(tmp_path / "1.jpg", "first")
    Sorter(tmp_path / "sorted", classes=CLASSES).sort(said(file))
    file.write_text("changed since")
    Sorter(tmp_path / "sorted", classes=CLASSES).sort(said(file))
    assert mine.read_text() == "somebody's own"
    assert sorted(contents(tmp_path / "sorted").values()) == [
        "changed since",
        "first",
        "somebody's own",
    ]


def test_a_photo_that_is_gone_is_counted(tmp_path: Path) -> None:
    sorter = Sorter(tmp_path / "sorted", classes=CLASSES)
    sorter.sort(said(tmp_path / "gone.jpg"))
    assert (sorter.summary().num_gone, sorter.summary().counts) == (1, {})


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    photo(tmp_path / "sorted/cat", "a file where the folder should be")
    with pytest.raises(RunError, match=r"cannot be put into .*sorted/cat"):
        Sorter(tmp_path / "sorted", classes=CLASSES).sort(said(photo(tmp_path / "1.jpg", "1")))


def test_copies_keep_their_time_and_leave_nothing_temporary(tmp_path: Path) -> None:
    file = photo(tmp_path / "1.jpg", "1")
    os.utime(file, (1_000_000_000, 1_000_000_000))
    Sorter(tmp_path / "sorted", classes=CLASSES).sort(said(file))
    (copied,) = (tmp_path / "sorted/cat").iterdir()
    assert copied.stat().st_mtime == 1_000_000_000


@given(st.lists(st.text(min_size=1), min_size=1, max_size=8, unique=True))
def test_folders_of_any_classes_stay_inside_and_apart(classes: list[str]) -> None:
    names = folder_names(classes)
    assert len({name.casefold() for name in names}) == len(classes)
    for name in names:
        assert Path(name).name == name
        assert name not in (".", "..")
        assert not name.startswith(".")


def test_a_class_called_like_the_folder_of_the_unsure_is_kept_apart(tmp_path: Path) -> None:
    sorter = Sorter(tmp_path / "sorted", classes=(UNSURE, "../up"))
    sorter.sort(said(photo(tmp_path / "1.jpg", "sure"), UNSURE))
    sorter.sort(said(photo(tmp_path / "2.jpg", "unsure"), UNSURE, is_withheld=True))
    sorter.sort(said(photo(tmp_path / "3.jpg", "up"), "../up"))
    assert contents(tmp_path / "sorted") == {
        f"{UNSURE}/1.jpg": "sure",
        f"{UNSURE} (2)/2.jpg": "unsure",
        "_.._up/3.jpg": "up",
    }


def test_an_unknown_kind_of_link_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"'soft'.*Allowed: hard, symbolic"):
        require_sortable(tmp_path / "sorted", link="soft", photos=[])
