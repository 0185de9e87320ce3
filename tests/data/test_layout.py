"""What lies in a folder, which class and split each file has, and that links lead nowhere else."""

import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldmark.data.layout import (
    HIDDEN,
    IN_HIDDEN,
    NO_CLASS,
    SYSTEM,
    FoundFile,
    detect_layout,
    find_files,
)

needs_links = pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")


def put(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"content")


def found(root: Path) -> dict[str, FoundFile]:
    return {file.path: file for file in find_files(root)[0]}


def places(*names: str) -> dict[str, tuple[str, str | None]]:
    layout = detect_layout(names)
    return {name: layout.place(name) for name in names}


def folders(**classes: str) -> list[str]:
    """Return a photo for each class named; a folder that names none holds its photo itself."""
    return [
        f"{folder}/{label}/1.jpg" if label else f"{folder}/1.jpg"
        for folder, labels in classes.items()
        for label in labels.split(" ")
    ]


def test_the_first_folder_is_the_class_however_deep_the_photo_lies() -> None:
    assert places("cat/1.jpg", "cat/2021/may/2.jpg", "dog/1.jpg") == {
        "cat/1.jpg": ("cat", None),
        "cat/2021/may/2.jpg": ("cat", None),
        "dog/1.jpg": ("dog", None),
    }


def test_classes_that_differ_in_case_are_two() -> None:
    assert [label for label, _ in places("Cat/1.jpg", "cat/1.jpg").values()] == ["Cat", "cat"]


@pytest.mark.parametrize(
    ("folders", "splits"),
    [
        (("train", "test"), ("train", "test")),
        (("Train", "Valid", "TEST"), ("train", "validation", "test")),
        (("training", "testing"), ("train", "test")),
        (("train", "val"), ("train", "validation")),
        (("archive/train", "archive/validation"), ("train", "validation")),
    ],
)
def test_a_split_by_folders_is_seen(folders: tuple[str, ...], splits: tuple[str, ...]) -> None:
    placed = places(*(f"{folder}/{label}/1.jpg" for folder in folders for label in ("cat", "dog")))
    assert [split for _, split in placed.values()] == [split for split in splits for _ in range(2)]
    assert {label for label, _ in placed.values()} == {"cat", "dog"}


@pytest.mark.parametrize("folders", [("train", "bus"), ("test", "val"), ("train", "test", "bus")])
def test_folders_that_are_no_split_are_classes(folders: tuple[str, ...]) -> None:
    placed = places(*(f"{folder}/deep/1.jpg" for folder in folders))
    assert list(placed.values()) == [(folder, None) for folder in folders]


def test_classes_called_train_and_test_are_classes_where_photos_lie_in_them() -> None:
    assert places("train/1.jpg", "test/1.jpg") == {
        "train/1.jpg": ("train", None),
        "test/1.jpg": ("test", None),
    }


def test_a_test_folder_without_classes_is_no_class_of_its_own() -> None:
    placed = places("train/cat/1.jpg", "train/dog/1.jpg", "test/1.jpg")
    assert placed["train/cat/1.jpg"] == ("cat", "train")
    assert placed["test/1.jpg"] == ("", "test")


@pytest.mark.parametrize(
    "side", [{"test": "cat dog"}, {"Val": "cat"}, {"test": "dog owl"}, {"test": "", "val": "cat"}]
)
@pytest.mark.parametrize("other", ["", "cat dog", "red blue"])
def test_another_folder_beside_a_split_makes_it_no_class_folders(
    side: dict[str, str], other: str
) -> None:
    names = folders(train="cat dog", **side, car=other)
    layout = detect_layout(names)
    assert layout.has_splits
    assert layout.beside == ("car",)
    assert layout.place("train/cat/1.jpg") == ("cat", "train")
    assert {layout.place(name) for name in names if name.startswith("car/")} == {("", None)}


@pytest.mark.parametrize(
    "classes",
    [
        {"train": "", "test": "", "car": ""},
        {"train": "", "test": "cat dog", "car": ""},
        {"train": "steam diesel", "bus": "red blue", "car": ""},
        {"train": "steam diesel", "test": "", "car": ""},
        {"train": "steam diesel", "test": "a b steam", "car": ""},
        {"train": "steam diesel", "test": "written oral", "car": "steam diesel"},
    ],
)
def test_class_folders_that_are_called_train_and_test_stay_classes(classes: dict[str, str]) -> None:
    layout = detect_layout(folders(**classes))
    assert (layout.has_splits, layout.notes()) == (False, ())
    assert {layout.place(name)[0] for name in folders(**classes)} == set(classes)


def test_photos_beside_a_split_are_left_out_and_the_note_says_what_to_do(tmp_path: Path) -> None:
    put(tmp_path, *folders(test="cat dog", train="cat dog", car=""), "loose.jpg")
    files, layout = find_files(tmp_path)
    assert [file.path for file in files if file.problem == NO_CLASS] == ["car/1.jpg", "loose.jpg"]
    assert layout.notes()[-1] == (
        "The folder car lies beside train and test, so its photos are left out; move them into a "
        "class folder of train or test."
    )


def test_several_folders_beside_a_split_are_named() -> None:
    names = folders(Test="cat dog", val="cat", train="cat dog", car="", bus="red")
    assert detect_layout(names).notes()[-1] == (
        "The folders bus and car lie beside train, val and Test, so their photos are left out; "
        "move them into a class folder of train, val or Test."
    )
    many = detect_layout([*names, *(f"x{number}/1.jpg" for number in range(5))]).notes()[-1]
    assert many.startswith("The folders bus, car, x0, x1, x2 and 2 more lie beside train, val")


def test_a_split_without_other_folders_says_nothing_of_them() -> None:
    layout = detect_layout(folders(train="cat dog", test="cat dog"))
    assert (layout.sides, layout.beside) == (("train", "test"), ())
    assert len(layout.notes()) == 1


def test_folders_around_everything_are_stepped_into() -> None:
    layout = detect_layout(["zip/data/cat/1.jpg", "zip/data/dog/1.jpg"])
    assert layout.wrapper == ("zip", "data")
    assert layout.place("zip/data/cat/1.jpg") == ("cat", None)
    assert layout.place("readme/cat/1.jpg") == ("", None)
    assert "zip/data/" in layout.notes()[0]


@pytest.mark.parametrize(
    "names",
    [
        ["cat/1.jpg", "cat/2.jpg"],
        ["cat/may/1.jpg", "cat/may/2.jpg"],
        ["cat/1.jpg", "cat/may/2.jpg", "cat/june/3.jpg"],
        ["cat/may/1.jpg", "cat/june/2.jpg", "loose.jpg"],
    ],
)
def test_a_single_class_folder_is_not_mistaken_for_a_wrapper(names: list[str]) -> None:
    layout = detect_layout(names)
    assert layout.wrapper == ()
    assert layout.place(names[0]) == ("cat", None)


def test_files_beside_the_photos_do_not_hide_the_wrapper(tmp_path: Path) -> None:
    put(tmp_path, "LICENSE", "readme.txt", "zip/NOTICE", "zip/cat/1.jpg", "zip/dog/1.jpg")
    files = found(tmp_path)
    assert files["zip/cat/1.jpg"].label == "cat"
    assert files["LICENSE"].problem == NO_CLASS
    assert files["readme.txt"].problem == "not an image (.txt)"


@given(
    st.lists(
        st.lists(st.sampled_from(["train", "test", "cat", "dog", "a.jpg"]), min_size=1, max_size=4),
        max_size=8,
    )
)
def test_every_path_has_a_place_in_any_folder(paths: list[list[str]]) -> None:
    names = ["/".join([*parts, "x.jpg"]) for parts in paths]
    layout = detect_layout(names)
    for name in names:
        label, split = layout.place(name)
        assert label == "" or f"{label}/" in name
        assert split in {None, "train", "test"}


def test_every_file_is_found_and_sorted(tmp_path: Path) -> None:
    put(
        tmp_path, "dog/1.jpg", "cat/b/1.jpg", "cat/a.jpg", "Cat/1.jpg", "cat/noextension", "top.png"
    )
    (tmp_path / "empty").mkdir()
    files, layout = find_files(tmp_path)
    assert [file.path for file in files] == [
        "Cat/1.jpg",
        "cat/a.jpg",
        "cat/b/1.jpg",
        "cat/noextension",
        "dog/1.jpg",
        "top.png",
    ]
    assert layout.notes() == ()
    assert {file.num_bytes for file in files} == {7}
    assert [file.problem for file in files] == [""] * 5 + [NO_CLASS]


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("cat/.1.jpg", HIDDEN),
        (".cache/cat/1.jpg", IN_HIDDEN),
        ("cat/.thumbs/1.jpg", IN_HIDDEN),
        ("__MACOSX/cat/._1.jpg", IN_HIDDEN),
        ("cat/@eaDir/1.jpg", IN_HIDDEN),
        ("Thumbs.db", SYSTEM),
        ("cat/desktop.ini", SYSTEM),
        ("cat/.DS_Store", SYSTEM),
        ("cat/labels.CSV", "not an image (.csv)"),
        ("cat/film.mp4", "not an image (.mp4)"),
        ("cat/IMG_1.HEIC", "in a format that is not read (.heic): export it as JPEG or PNG"),
        ("cat/DSC_1.NEF", "in a format that is not read (.nef): export it as JPEG or PNG"),
    ],
)
def test_what_is_no_photo_by_its_name_is_listed_with_the_reason(
    tmp_path: Path, name: str, problem: str
) -> None:
    put(tmp_path, name, "cat/1.jpg", "dog/1.jpg")
    assert found(tmp_path)[name].problem == problem
    assert found(tmp_path)["cat/1.jpg"].problem == ""


@needs_links
@pytest.mark.parametrize(
    ("target", "problem"),
    [
        ("{outside}/secret.jpg", "link that leads out of the folder"),
        ("{outside}", "link that leads out of the folder"),
        ("../cat", "link that goes round in a circle"),
        ("..", "link that goes round in a circle"),
        ("link.jpg", "link that goes round in a circle"),
        ("nowhere.jpg", "link to a file that does not exist"),
        ("../dog", "link to a folder whose files are met where they lie"),
        ("1.jpg", ""),
        ("../dog/1.jpg", ""),
    ],
)
def test_links_are_followed_to_files_inside_only(tmp_path: Path, target: str, problem: str) -> None:
    root, outside = tmp_path / "photos", tmp_path / "outside"
    put(root, "cat/1.jpg", "dog/1.jpg")
    put(outside, "secret.jpg")
    (root / "cat" / "link.jpg").symlink_to(target.format(outside=outside))
    files = found(root)
    assert files["cat/link.jpg"].problem == problem
    assert sorted(files) == ["cat/1.jpg", "cat/link.jpg", "dog/1.jpg"]


@needs_links
def test_the_folder_itself_may_be_a_link(tmp_path: Path) -> None:
    put(tmp_path / "real", "cat/1.jpg", "dog/1.jpg")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert [file.problem for file in found(tmp_path / "link").values()] == ["", ""]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_a_pipe_is_not_opened(tmp_path: Path) -> None:
    put(tmp_path, "cat/1.jpg", "dog/1.jpg")
    os.mkfifo(tmp_path / "cat" / "pipe.jpg")
    assert found(tmp_path)["cat/pipe.jpg"].problem == "not a regular file"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
@pytest.mark.parametrize("name", [b"\xff.jpg", b"line\nbreak.jpg", b"bell\x07.jpg"])
def test_a_name_that_cannot_be_printed_is_escaped_and_left_out(tmp_path: Path, name: bytes) -> None:
    put(tmp_path, "cat/1.jpg", "dog/1.jpg")
    (tmp_path / "cat" / os.fsdecode(name)).write_bytes(b"x")
    (odd,) = [file for file in found(tmp_path).values() if file.problem]
    assert odd.path.encode("ascii").isascii()
    assert "\n" not in odd.path
    assert odd.problem.endswith("rename it")


def test_names_in_any_script_are_fine(tmp_path: Path) -> None:
    names = ["chien/été.jpg", "猫/写真 1.jpg", "chat/shot at 3\u202fPM.jpg"]
    put(tmp_path, *names)
    assert sorted(found(tmp_path)) == sorted(names)
    assert {file.problem for file in found(tmp_path).values()} == {""}


def test_a_folder_that_cannot_be_listed_is_a_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "cat/1.jpg", "dog/1.jpg", "secret/1.jpg")
    scandir = os.scandir

    def refuse(path: str | os.PathLike[str]) -> object:
        if Path(path).name == "secret":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert found(tmp_path)["secret"].problem == "folder cannot be read: Permission denied"
