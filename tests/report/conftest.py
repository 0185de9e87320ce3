"""Run folders made up for the report: coloured photos, drawn logits, every file of a real run."""

import hashlib
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import tomli_w
from PIL import Image

from fieldmark.audit.shortcuts import CueScore, ShortcutTest
from fieldmark.base.files import write_csv, write_json, write_text
from fieldmark.base.run_folder import RunFolder
from fieldmark.data.preprocess import Preprocess
from fieldmark.evaluation.evaluation import evaluate
from fieldmark.evaluation.intervals import Estimate
from fieldmark.evaluation.predictions import Predictions, write_predictions

SPLITS = ("train", "train", "train", "validation", "test")
"""The split of each photo of a class in turn."""

SCORES = ("loss", "accuracy", "precision", "recall", "top_k")
THRESHOLDED = ("thresholded_precision", "thresholded_recall")
HISTORY = (
    "epoch",
    "lr",
    *(f"{split}_{score}" for split in ("train", "val", "test") for score in SCORES + THRESHOLDED),
    "seconds",
    "images_per_second",
    "data_wait_s",
)

TRAINED = {
    "optim": {
        "name": "adamw",
        "lr": 3e-4,
        "weight_decay": 0.02,
        "momentum": 0.9,
        "schedule": "cosine",
        "warmup_epochs": 1.0,
        "head_lr_factor": 1.0,
        "layer_decay": 1.0,
    },
    "augment": {"policy": "flip", "flip_horizontal": True, "crop_scale": [1.0, 1.0]},
}
"""The tables of a settled recipe that trains more than a head."""

VOID = {"meta", "img", "br", "hr", "input", "link", "wbr"}

MakeRun = Callable[..., Path]


class Page(HTMLParser):
    """The elements and the text of a page; `errors` tells tags that do not close in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.errors: list[str] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        self.errors += self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.errors.append(tag)

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))

    def all(self, *tags: str) -> list[dict[str, str]]:
        return [attributes for tag, attributes in self.elements if tag in tags]


@dataclass(frozen=True, kw_only=True)
class MadePhoto:
    """A photo on disk and where it went."""

    path: str
    label: str
    split: str
    sha256: str
    num_bytes: int


@pytest.fixture(scope="session")
def parse_page() -> type[Page]:
    """Return what reads a page; see `Page`."""
    return Page


@pytest.fixture(scope="session")
def shortcut_test() -> ShortcutTest:
    """Return a shortcut test of four cues, one of which goes too far."""
    return ShortcutTest(
        cues=(
            _cue("Camera", accuracy=0.3, note="It is the same for all photos."),
            _cue("File size", accuracy=0.35, recall={"cat": 0.3, "dog": 0.4}),
            _cue("Image size", accuracy=0.7, recall={"cat": 1.0, "dog": 0.4}, given_away=("cat",)),
            _cue("Border", accuracy=0.4, recall={"cat": 0.5, "dog": 0.2}, kind="picture"),
        ),
        chance=Estimate(value=0.3, low=0.25, high=0.35),
        num_photos=60,
    )


def _cue(
    title: str,
    *,
    accuracy: float,
    recall: Mapping[str, float] | None = None,
    given_away: tuple[str, ...] = (),
    kind: str = "file",
    note: str = "",
) -> CueScore:
    return CueScore(
        key=title.lower(),
        title=title,
        description=f"nothing but {title.lower()}",
        kind=kind,
        accuracy=Estimate(value=accuracy, low=accuracy - 0.05, high=accuracy + 0.05),
        skill=(accuracy - 0.3) / 0.7,
        given_away=given_away,
        recall=recall or {},
        note=note,
    )


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """Return a function that makes a run folder beside its photos; see `build_run`."""

    def make(name: str = "run", **wishes: object) -> Path:
        return build_run(tmp_path / name, **wishes)  # type: ignore[arg-type]

    return make


@pytest.fixture(scope="module")
def quick_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that makes mistakes, for tests that only read it."""
    return build_run(tmp_path_factory.mktemp("quick") / "run", skill=1.0)


def build_run(
    run: Path,
    *,
    classes: Sequence[str] = ("cat", "dog", "fox"),
    per_class: int = 20,
    strategy: str = "probe",
    skill: float = 3.0,
    excluded: Sequence[tuple[str, str]] = (("cat/notes.txt", "not an image"),),
    repaired: int = 1,
    warnings: Sequence[str] = (),
    with_curves: bool = True,
    watched: Sequence[str] = ("val",),
    photos: Sequence[MadePhoto] | None = None,
    root: Path | None = None,
) -> Path:
    """Write every file of a run of made-up photos.

    `skill` is how far the true logit stands out; `watched` are the splits scored after each epoch
    beside the training photos.
    """
    root = root or run.with_name(f"{run.name}-photos")
    made = list(photos or _write_photos(root, classes=classes, per_class=per_class))
    folder = RunFolder(run)
    _write_data(folder, made, excluded=excluded, repaired=repaired)
    predictions = _predictions(made, classes=classes, skill=skill)
    write_predictions(folder.predictions_csv, predictions)
    evaluation = evaluate(predictions.of_split("test"), num_resamples=20)
    write_json(folder.evaluation_json, evaluation.to_json())
    _write_recipe(folder, strategy=strategy)
    _write_layers(folder, num_classes=len(classes), strategy=strategy)
    _write_curves(folder, strategy=strategy, rows=6 if with_curves else 0, watched=watched)
    _write_model(folder)
    counts = {split: sum(photo.split == split for photo in made) for split in set(SPLITS)}
    _write_record(folder, root=root, strategy=strategy, counts=counts, warnings=warnings)
    return run


def _write_photos(root: Path, *, classes: Sequence[str], per_class: int) -> list[MadePhoto]:
    generator = np.random.default_rng(7)
    made = []
    for label in classes:
        base = generator.integers(0, 200, size=3)
        for place in range(per_class):
            pixels = (base + generator.integers(0, 50, size=(24, 32, 3))).astype(np.uint8)
            path = root / label / f"{place:03d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
            content = path.read_bytes()
            made.append(
                MadePhoto(
                    path=f"{label}/{path.name}",
                    label=label,
                    split=SPLITS[place % len(SPLITS)],
                    sha256=hashlib.sha256(content).hexdigest(),
                    num_bytes=len(content),
                )
            )
    return made


def _write_data(
    folder: RunFolder,
    made: Sequence[MadePhoto],
    *,
    excluded: Sequence[tuple[str, str]],
    repaired: int,
) -> None:
    rows: list[tuple[object, ...]] = []
    for place, photo in enumerate(made):
        status = ("repaired", "turned upright") if place < repaired else ("used", "")
        rows.append((photo.path, photo.label, 32, 24, photo.num_bytes, photo.sha256, *status))
    for path, reason in excluded:
        label = path.split("/")[0]
        rows.append((path, label, "", "", 5, "0" * 64, "excluded", reason))
    header = ("path", "label", "width", "height", "bytes", "sha256", "status", "reason")
    write_csv(folder.catalog_csv, header=header, rows=sorted(rows, key=lambda row: str(row[0])))
    write_csv(
        folder.splits_csv,
        header=("path", "label", "split", "group"),
        rows=[(photo.path, photo.label, photo.split, "") for photo in made],
    )


def _predictions(made: Sequence[MadePhoto], *, classes: Sequence[str], skill: float) -> Predictions:
    generator = np.random.default_rng(3)
    labels_N = np.array([list(classes).index(photo.label) for photo in made])
    logits_NC = generator.normal(size=(len(made), len(classes)))
    logits_NC[np.arange(len(made)), labels_N] += skill
    return Predictions(
        paths=tuple(photo.path for photo in made),
        splits=np.array([photo.split for photo in made]),
        labels_N=labels_N,
        classes=tuple(classes),
        logits_NC=logits_NC.astype(np.float32),
    )


def _write_recipe(folder: RunFolder, *, strategy: str) -> None:
    resolved = {
        "schema_version": 1,
        "data": {"size_px": 224, "resize": "squash"},
        "split": {"test": 0.2, "validation": 0.1, "seed": 0},
        "model": {"backbone": "resnet50", "weights": "auto", "backbone_args": {}},
        "train": {"strategy": strategy, "epochs": 6, "ema": False, "batch_norm": "frozen"},
        **({"probe": {"l2": 0.01}} if strategy == "probe" else TRAINED),
        "reasons": {"data.size_px": "the size the pretrained network was trained at"},
    }
    write_text(folder.resolved_toml, tomli_w.dumps(resolved))


def _write_layers(folder: RunFolder, *, num_classes: int, strategy: str) -> None:
    learned = int(strategy != "probe")
    rows = [
        ("conv1", "Conv2d", "64x112x112", 9408, learned, 0, 9408 * 112**2),
        ("bn1", "BatchNorm2d", "64x112x112", 128, learned, 128, 0),
        ("layer1.0.conv1", "Conv2d", "64x56x56", 36864, learned, 0, 36864 * 56**2),
        ("layer1.0.relu", "ReLU", "64x56x56", 0, learned, 0, 0),
        ("layer2.0.conv1", "Conv2d", "128x28x28", 73728, learned, 0, 73728 * 28**2),
        ("fc", "Linear", str(num_classes), 2049 * num_classes, 1, 0, 2048 * num_classes),
    ]
    columns = ("name", "type", "output_shape", "parameters", "trainable")
    header = (*columns, "statistics", "multiply_adds")
    write_csv(folder.layers_csv, header=header, rows=rows)


def _write_curves(folder: RunFolder, *, strategy: str, rows: int, watched: Sequence[str]) -> None:
    fall = [math.exp(-i / 2) for i in range(rows)]
    measures = ("train_loss", "train_accuracy", "val_loss", "val_accuracy")
    if strategy == "probe":
        write_csv(
            folder.probe_csv,
            header=("l2", *measures, "chosen"),
            rows=[
                (
                    10.0 ** (i - 5),
                    0.05 + i / 50,
                    1 - i / 40,
                    0.1 + (i - 3) ** 2 / 90,
                    0.97,
                    int(i == 3),
                )
                for i in range(rows)
            ],
        )
    epochs = fall if strategy != "probe" else []
    write_csv(
        folder.history_csv,
        header=HISTORY,
        rows=[
            history_row(i + 1, loss=f + 0.1, share=0.97 - f / 3, watched=watched)
            for i, f in enumerate(epochs)
        ],
    )


def history_row(
    epoch: int, *, loss: float, share: float, watched: Sequence[str] = ("val",)
) -> tuple[object, ...]:
    """Return a row of `history.csv`, photos not learned from named a little worse."""
    train = (loss - 0.08, share + 0.02, share + 0.01, share, share + 0.03, share, share - 0.01)
    other = (loss, share, share, share, share + 0.02, share, share - 0.02)
    nothing = ("",) * len(other)
    held_out = [other if split in watched else nothing for split in ("val", "test")]
    return (epoch, 1e-3 / epoch, *train, *held_out[0], *held_out[1], 2.0, 60.0, 0.1)


def _write_model(folder: RunFolder) -> None:
    preprocess = Preprocess(size_px=50, interpolation="bilinear", antialias=False)
    description = {"schema_version": 2, "preprocess": preprocess.to_json()}
    write_json(folder.model_dir / "model.json", description)


def _write_record(
    folder: RunFolder,
    *,
    root: Path,
    strategy: str,
    counts: dict[str, int],
    warnings: Sequence[str],
) -> None:
    record = {
        "schema_version": 1,
        "fieldmark_version": "0.1.0",
        "command": "fieldmark train photos",
        "photos": str(root),
        "status": "finished",
        "started": "2026-11-22T12:00:00+00:00",
        "ended": "2026-11-22T12:02:03+00:00",
        "seconds": 123.4,
        "stages": [{"name": "catalog", "seconds": 3.2}, {"name": "features", "seconds": 100.0}],
        "versions": {"python": "3.11.7", "torch": "2.15.0"},
        "seeds": {"split": 0, "train": 0},
        "data_digest": "ab" * 32,
        "device": {"type": "cpu", "name": "cpu", "threads": 2, "precision": "float32"},
        "recipe": "quick" if strategy == "probe" else "finetune",
        "strategy": strategy,
        "splits": counts,
        "warnings": list(warnings),
        "peak_memory_mib": 1234,
        "error": None,
    }
    write_json(folder.run_json, record)
