"""Folders as people have them, through the whole of training."""

import csv
import json
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fieldmark.base.errors import DataError, SplitError
from fieldmark.base.progress import SilentProgress
from fieldmark.run import Run

Train = Callable[..., Run]
WritePhotos = Callable[..., Path]

SKY = "sky, [bold]blue :car:"
"""A class whose name must survive CSV, terminal markup and HTML."""


class Recorder(SilentProgress):
    """Keeps the notes of a run."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def folder_of(run: Run) -> Path:
    assert run.path is not None
    return run.path


def record_of(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "run.json").read_text("utf-8"))
    return content


def picture(colour: tuple[int, int, int], seed: int) -> Image.Image:
    noise_HWC = np.random.default_rng(seed).normal(0, 25, (30, 40, 3))
    return Image.fromarray(np.clip(np.array(colour) + noise_HWC, 0, 255).astype(np.uint8))


def turned_by(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[274] = orientation
    return exif


@pytest.fixture(scope="module")
def messy(write_photos: WritePhotos, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with everything in it that folders of photos come with."""
    cherry, leaf = (190, 30, 50), (40, 150, 60)
    root = write_photos(
        tmp_path_factory.mktemp("messy") / "photos",
        colours={"cherry": cherry, "leaf": leaf, SKY: (70, 120, 210)},
        count=6,
    )
    (root / "notes.txt").write_text("bought in spring")
    picture(cherry, 1).save(root / "loose.png")
    (root / "cherry" / "ripe" / "dark").mkdir(parents=True)
    picture(cherry, 2).save(root / "cherry" / "ripe" / "dark" / "NESTED.PNG")
    picture(cherry, 3).save(root / "cherry" / "no extension", format="PNG")
    (root / "cherry" / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0")
    (root / "cherry" / "readme.txt").write_text("cherries")
    (root / ".git").mkdir()
    (root / ".git" / "config").write_text("")
    spoil(root / "leaf", leaf)
    return root


def spoil(folder: Path, colour: tuple[int, int, int]) -> None:
    """Write one photo of each difficult kind."""
    picture(colour, 4).convert("L").save(folder / "grey.png")
    picture(colour, 5).convert("P").save(folder / "palette.gif")
    picture(colour, 6).convert("RGBA").save(folder / "alpha.png")
    picture(colour, 7).convert("CMYK").save(folder / "cmyk.jpg")
    deep_HW = np.random.default_rng(8).integers(0, 65536, (30, 40), dtype=np.uint16)
    Image.fromarray(deep_HW).save(folder / "sixteen.png")
    picture(colour, 9).save(folder / "turned.jpg", exif=turned_by(6))
    picture(colour, 10).save(folder / "really-jpeg.png", format="JPEG")
    whole = (folder / "turned.jpg").read_bytes()
    (folder / "truncated.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "page.jpg").write_text("<html>not found</html>")


@pytest.fixture(scope="module")
def messy_run(
    messy: Path, train_tiny: Train, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Run, Recorder]:
    """A finished run on the messy folder, and what it told."""
    recorder = Recorder()
    out = tmp_path_factory.mktemp("messy") / "run"
    return train_tiny(out, photos=messy, progress=recorder), recorder


@pytest.fixture(scope="module")
def catalog(messy_run: tuple[Run, Recorder]) -> dict[str, dict[str, str]]:
    """The rows of the messy folder's catalog by path."""
    return {row["path"]: row for row in table(folder_of(messy_run[0]) / "catalog.csv")}


# Every file is accounted for


def test_every_file_met_is_in_the_catalog(messy: Path, catalog: dict[str, Any]) -> None:
    files = {path.relative_to(messy).as_posix() for path in messy.rglob("*") if path.is_file()}
    assert set(catalog) == files


@pytest.mark.parametrize(
    ("path", "status", "reason"),
    [
        ("notes.txt", "excluded", "not an image (.txt)"),
        ("loose.png", "excluded", "not in a class folder"),
        (".git/config", "excluded", "hidden"),
        ("cherry/ripe/dark/NESTED.PNG", "used", ""),
        ("cherry/no extension", "used", ""),
        ("cherry/Thumbs.db", "excluded", "system file"),
        ("cherry/readme.txt", "excluded", "not an image (.txt)"),
        ("leaf/cmyk.jpg", "repaired", "CMYK"),
        ("leaf/turned.jpg", "repaired", "turned upright (EXIF orientation 6)"),
        ("leaf/really-jpeg.png", "repaired", "JPEG file named .png"),
        ("leaf/truncated.jpg", "excluded", "truncated"),
        ("leaf/empty.jpg", "excluded", "empty file"),
        ("leaf/page.jpg", "excluded", "not an image"),
        (f"{SKY}/00.png", "used", ""),
    ],
)
def test_the_catalog_says_what_became_of_each_file_and_why(
    catalog: dict[str, dict[str, str]], path: str, status: str, reason: str
) -> None:
    assert catalog[path]["status"] == status
    assert reason in catalog[path]["reason"]
    assert bool(catalog[path]["reason"]) == bool(reason)


@pytest.mark.parametrize("name", ["grey.png", "palette.gif", "alpha.png", "sixteen.png"])
def test_photos_of_every_mode_take_part(catalog: dict[str, dict[str, str]], name: str) -> None:
    assert catalog[f"leaf/{name}"]["status"] in ("used", "repaired")


def test_a_turned_photo_is_measured_upright(catalog: dict[str, dict[str, str]]) -> None:
    turned, plain = catalog["leaf/turned.jpg"], catalog["leaf/00.png"]
    assert (turned["width"], turned["height"]) == ("30", "40")
    assert (plain["width"], plain["height"]) == ("40", "30")


def test_exactly_the_usable_photos_are_split_and_predicted(
    messy_run: tuple[Run, Recorder], catalog: dict[str, dict[str, str]]
) -> None:
    usable = {path for path, row in catalog.items() if row["status"] != "excluded"}
    folder = folder_of(messy_run[0])
    assert {row["path"] for row in table(folder / "splits.csv")} == usable
    assert {row["path"] for row in table(folder / "predictions.csv")} == usable


def test_class_names_are_sorted_and_kept_to_the_letter(messy_run: tuple[Run, Recorder]) -> None:
    content = json.loads((messy_run[0].bundle / "model.json").read_text("utf-8"))
    assert content["classes"] == ["cherry", "leaf", SKY]
    assert messy_run[0].evaluation.classes == ("cherry", "leaf", SKY)


def test_photos_that_were_lost_are_counted_in_a_warning(messy_run: tuple[Run, Recorder]) -> None:
    content = record_of(folder_of(messy_run[0]))
    # loose.png, truncated.jpg, empty.jpg and page.jpg; nobody misses Thumbs.db or notes.txt.
    assert [text for text in content["warnings"] if text.startswith("4 files")]
    statuses = Counter(row["status"] for row in table(folder_of(messy_run[0]) / "catalog.csv"))
    assert content["images"] == {"met": statuses.total()} | dict(statuses)


def test_no_note_is_told_twice(messy_run: tuple[Run, Recorder]) -> None:
    notes = messy_run[1].notes
    assert notes
    assert len(notes) == len(set(notes))


def test_each_class_is_told_apart_in_the_report(messy_run: tuple[Run, Recorder]) -> None:
    page = messy_run[0].report.read_text("utf-8")
    assert SKY in page


# Ready-made splits, and copies


def test_a_split_by_folders_is_kept(photos: Path, train_tiny: Train, tmp_path: Path) -> None:
    folders = {"0": "Train", "1": "val", "2": "test"}
    root = tmp_path / "photos"
    for index, path in enumerate(sorted(photos.rglob("*.png"))):
        split = folders[str(max(0, index % 4 - 1))]
        place = root / split / path.parent.name
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place)
    recorder = Recorder()
    run = train_tiny(tmp_path / "run", photos=root, progress=recorder)
    named = {"Train": "train", "val": "validation", "test": "test"}
    rows = table(folder_of(run) / "splits.csv")
    assert all(row["split"] == named[row["path"].split("/")[0]] for row in rows)
    assert {row["label"] for row in rows} == {"cherry", "leaf", "sky"}
    assert len(rows) == 36
    assert sum("split already made" in note for note in recorder.notes) == 1


def test_copies_of_a_photo_never_stand_on_two_sides(
    write_photos: WritePhotos, train_tiny: Train, tmp_path: Path
) -> None:
    root = write_photos(tmp_path / "photos", count=8)
    for path in sorted(root.rglob("0[0-3].png")):
        shutil.copy(path, path.with_name(f"copy-of-{path.name}"))
    run = train_tiny(tmp_path / "run", photos=root)
    sides = defaultdict(set)
    for row in table(folder_of(run) / "splits.csv"):
        sides[(root / row["path"]).read_bytes()].add(row["split"])
    assert len(sides) == 24
    assert all(len(found) == 1 for found in sides.values())


@pytest.mark.parametrize(
    ("remove", "message"),
    [
        (["leaf", "sky"], "only one class, 'cherry'"),
        (["cherry", "leaf", "sky"], "the folder is empty"),
        (["sky/0[1-9].png"], "Only one usable photo of: 'sky'"),
    ],
)
def test_photos_that_cannot_be_trained_on_stop_the_run_before_training(
    remove: list[str],
    message: str,
    write_photos: Callable[..., Path],
    train_tiny: Train,
    tmp_path: Path,
) -> None:

    root = write_photos(tmp_path / "photos", count=3)
    for pattern in remove:
        for path in root.glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(DataError, match=message):
        train_tiny(tmp_path / "run", photos=root)
    assert not (tmp_path / "run").exists()


def test_a_split_file_is_honoured_and_validation_carved_from_its_training_photos(
    photos: Path, train_tiny: Train, tmp_path: Path
) -> None:
    paths = sorted(path.relative_to(photos).as_posix() for path in photos.rglob("*.png"))
    test = paths[2::5]
    listed = tmp_path / "split.csv"
    rows = [f"{path},{'test' if path in test else 'train'}" for path in paths]
    listed.write_text("\n".join(["path,split", *rows]) + "\n")
    run = train_tiny(tmp_path / "run", split_file=listed)
    split = {row["path"]: row["split"] for row in table(folder_of(run) / "splits.csv")}
    assert sorted(path for path, name in split.items() if name == "test") == test
    assert "validation" in split.values()
    assert run.evaluation.num_images == len(test)
    assert record_of(folder_of(run))["split_file"] == str(listed)


def test_a_split_file_with_a_photo_that_is_not_there_is_refused(
    photos: Path, train_tiny: Train, tmp_path: Path
) -> None:
    listed = tmp_path / "split.csv"
    listed.write_text("path,split\nsky/gone.png,test\n")
    with pytest.raises(SplitError, match=r"sky/gone\.png"):
        train_tiny(tmp_path / "run", split_file=listed)
    assert not (tmp_path / "run").exists()


# Rotations in the metadata


def striped(root: Path, *, tags_are_true: bool) -> Path:
    """Write stripes of any colour, level or upright; two thirds carry a tag of a turn by 90°."""
    generator = np.random.default_rng(0)
    for name in ("level", "upright"):
        (root / name).mkdir(parents=True)
        for index in range(36):
            rows_HW = np.add.outer(np.arange(32), np.zeros(32, dtype=int)) // 4 % 2
            stripes_HW = rows_HW if name == "level" else rows_HW.T
            colour = generator.integers(0, 90, 3)
            noise_HWC = generator.integers(0, 50, (32, 32, 3))
            pixels_HWC = colour + 110 * stripes_HW[..., None] + noise_HWC
            image = Image.fromarray(pixels_HWC.astype(np.uint8))
            if index % 3 == 0:
                image.save(root / name / f"{index:02d}.png")
                continue
            # Orientation 6 is undone by a turn of 90° clockwise.
            stored = image.transpose(Image.Transpose.ROTATE_90) if tags_are_true else image
            stored.save(root / name / f"{index:02d}.png", exif=turned_by(6))
    return root


@pytest.mark.parametrize(("tags_are_true", "reading"), [(True, "exif"), (False, "stored")])
def test_rotations_are_believed_only_where_the_photos_bear_them_out(
    train_tiny: Train, tmp_path: Path, *, tags_are_true: bool, reading: str
) -> None:
    import tomllib

    root = striped(tmp_path / "photos", tags_are_true=tags_are_true)
    recorder = Recorder()
    run = train_tiny(tmp_path / "run", photos=root, progress=recorder)
    resolved = tomllib.loads((folder_of(run) / "resolved.toml").read_text("utf-8"))
    assert resolved["data"]["orientation"] == reading
    assert ("data.orientation" in resolved["reasons"]) == (reading == "stored")
    assert sum("rotation in their metadata" in note for note in recorder.notes) >= 1
    assert run.evaluation.accuracy.value >= 0.9
    # The same photos, given as files, are read the same way.
    rows = [row for row in table(folder_of(run) / "predictions.csv") if row["split"] == "test"]
    again = run.predict([root / row["path"] for row in rows])
    for row, prediction in zip(rows, again, strict=True):
        assert prediction.label == row["predicted"]
        assert prediction.confidence == pytest.approx(float(row["confidence"]), abs=1e-12)


def test_a_recipe_that_says_how_to_read_rotations_is_obeyed(
    train_tiny: Train, tmp_path: Path
) -> None:
    root = striped(tmp_path / "photos", tags_are_true=False)
    recorder = Recorder()
    run = train_tiny(
        tmp_path / "run", photos=root, overrides=["data.orientation=exif"], progress=recorder
    )
    rows = table(folder_of(run) / "catalog.csv")
    assert Counter(row["status"] for row in rows) == {"used": 24, "repaired": 48}
    assert (
        json.loads((run.bundle / "model.json").read_text())["preprocess"]["orientation"] == "exif"
    )


# What is trained


def test_the_layer_table_says_which_weights_were_trained(
    finished_quick: Run, finished_finetune: Run
) -> None:
    for run, frozen in ((finished_quick, True), (finished_finetune, False)):
        rows = table(folder_of(run) / "layers.csv")
        assert rows[-1]["name"] == "head"
        assert int(rows[-1]["trainable"]) == int(rows[-1]["parameters"]) > 0
        trained = sum(int(row["trainable"]) for row in rows[:-1])
        assert (trained == 0) == frozen
        assert frozen or trained == sum(int(row["parameters"]) for row in rows[:-1])
