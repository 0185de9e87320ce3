"""What tests of whole runs share: tiny photos, tiny weights, and runs finished once a session."""

import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

# Before anything imports torch: on nets this small a second thread only gets in the way.
os.environ.setdefault("OMP_NUM_THREADS", "1")

COLOURS = {"cherry": (190, 30, 50), "leaf": (40, 150, 60), "sky": (70, 120, 210)}
NOISE = 25
ARGS = {"layers": [1, 1, 1, 1], "channels": [8, 8, 16, 16]}
"""A ResNet of four blocks with a hundredth of the weights of the smallest published one."""

FINETUNE = (
    "train.epochs=10",
    "train.batch_size=8",
    "train.precision=float32",
    "optim.lr=3e-3",
)

WritePhotos = Callable[..., Path]
Train = Callable[..., Any]
TrainTiny = Callable[..., Any]
Snapshot = Callable[[Path], dict[str, object]]
CallMain = Callable[..., "Outcome"]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a command left: exit code, standard output and standard error."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="session", autouse=True)
def _no_stop_watch() -> Iterator[None]:
    """Let every way to compute be as fast as the others: what a busy machine measures is chance."""
    with pytest.MonkeyPatch.context() as patch:
        for module in ("fieldmark.models.inference", "fieldmark.training.pace"):
            patch.setattr(f"{module}.photos_per_second", _all_alike)
        yield


def _all_alike(runs: Mapping[str, Any], **_limits: Any) -> dict[str, float]:
    return dict.fromkeys(runs, 100.0)


class Recorder:
    """Progress that keeps its notes, and what came of each stage."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.started: dict[str, tuple[int | None, str]] = {}
        self.summaries: dict[str, str] = {}

    def start(self, stage: str, *, total: int | None, unit: str) -> None:
        """Keep what the stage will do."""
        self.started.pop(stage, None)
        self.started[stage] = total, unit

    def advance(self, count: int = 1, *, detail: str | None = None) -> None:
        """Ignore it."""

    def finish(self, summary: str) -> None:
        """Keep what came of the present stage."""
        self.summaries[next(reversed(self.started))] = summary

    def note(self, text: str) -> None:
        """Keep the note."""
        self.notes.append(text)

    def close(self) -> None:
        """Ignore it."""


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache of the session's own, so that no test touches the user's."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FIELDMARK_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session")
def write_photos() -> WritePhotos:
    """Return a function that writes noisy pictures of one colour a class; see `_write_photos`."""
    return _write_photos


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of twelve pictures of 40x30 pixels, told apart by their colour; read only."""
    return _write_photos(tmp_path_factory.mktemp("photos") / "photos")


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weights folder in timm's form for a tiny ResNet of 32 pixels; read only."""
    import timm
    import torch
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("weights")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = timm.create_model("resnet18", num_classes=0, **ARGS)
    save_file(network.state_dict(), folder / "model.safetensors")
    expected = {"input_size": [3, 32, 32], "mean": [0.5] * 3, "std": [0.5] * 3, "classifier": "fc"}
    config = {"architecture": "resnet18", "model_args": ARGS, "pretrained_cfg": expected}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture
def train(photos: Path, weights: Path) -> Train:
    """`fieldmark.train` on the tiny photos with the tiny weights, unless it is told otherwise."""
    import fieldmark

    def call(**asked: Any) -> Any:
        if not asked.get("resume"):
            asked = {"weights": str(weights)} | asked
        return fieldmark.train(asked.pop("photos", photos), **asked)

    return call


@pytest.fixture(scope="session")
def train_tiny(photos: Path, weights: Path) -> TrainTiny:
    """Return `train(out, photos=..., recipe=..., overrides=...)` with the tiny weights."""
    import fieldmark

    def train(out: Path, *, overrides: Sequence[str] = (), **changes: Any) -> Any:
        asked = {"photos": photos, "weights": str(weights), **changes}
        tiny = FINETUNE if asked.get("recipe") == "finetune" else ("train.precision=float32",)
        return fieldmark.train(asked.pop("photos"), out=out, overrides=[*tiny, *overrides], **asked)

    return train


@pytest.fixture(scope="session")
def finished_quick(tmp_path_factory: pytest.TempPathFactory, train_tiny: TrainTiny) -> Any:
    """A finished run of the recipe quick; read only."""
    return train_tiny(tmp_path_factory.mktemp("runs") / "quick")


@pytest.fixture(scope="session")
def finished_finetune(tmp_path_factory: pytest.TempPathFactory, train_tiny: TrainTiny) -> Any:
    """A finished run of the recipe finetune; read only."""
    return train_tiny(tmp_path_factory.mktemp("runs") / "finetune", recipe="finetune")


@pytest.fixture(scope="session")
def explored(tmp_path_factory: pytest.TempPathFactory, photos: Path, weights: Path) -> Any:
    """What exploring the photos gives with the tiny weights; read only."""
    import fieldmark

    out = tmp_path_factory.mktemp("explored") / "out"
    return fieldmark.explore(photos, weights=str(weights), out=out)


@pytest.fixture
def recorder() -> Recorder:
    """Progress that keeps what it is told."""
    return Recorder()


@pytest.fixture
def call_main(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CallMain:
    """Return a function that runs the command line in this process, exit code and all."""
    from fieldmark.__main__ import main

    def call(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["fieldmark", *(str(part) for part in arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main()
        captured = capsys.readouterr()
        code = stop.value.code
        assert isinstance(code, int)
        return Outcome(code=code, out=captured.out, err=captured.err)

    return call


@pytest.fixture(scope="session")
def snapshot() -> Snapshot:
    """Return a function that lists a folder: each entry's mode, time of change and content."""

    def describe(path: Path) -> object:
        status = path.stat()
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        return status.st_mode, status.st_mtime_ns, content

    def take(folder: Path) -> dict[str, object]:
        entries = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*")}
        return {name: describe(path) for name, path in entries.items()}

    return take


def _write_photos(
    root: Path,
    *,
    colours: Mapping[str, tuple[int, int, int]] = COLOURS,
    count: int = 12,
    seed: int = 0,
) -> Path:
    """Write `count` pictures into a folder for each colour and return `root`."""
    generator = np.random.default_rng(seed)
    for name, colour in colours.items():
        (root / name).mkdir(parents=True)
        for index in range(count):
            noise_HWC = generator.normal(0, NOISE, (30, 40, 3))
            pixels_HWC = np.clip(np.array(colour) + noise_HWC, 0, 255).astype(np.uint8)
            Image.fromarray(pixels_HWC).save(root / name / f"{index:02d}.png")
    return root
