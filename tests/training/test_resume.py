"""A run that is stopped anywhere and goes on is, to the last bit, the run that was not stopped."""

import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from fieldmark.base.stopping import Stopped
from fieldmark.data.augment import AugmentConfig
from fieldmark.models.classifier import Classifier
from fieldmark.models.inference import Predictor
from fieldmark.training.checkpoint import Checkpoint, Checkpoints
from fieldmark.training.course import Pace, Unwatched
from fieldmark.training.fit import Fitted

MakeClassifier = Callable[..., Classifier]
MakePhotos = Callable[..., tuple[NDArray[np.uint8], NDArray[np.int64]]]
FitTiny = Callable[..., Fitted]

AFTER_EACH_STEP = 1e-9
TIMES = ("seconds", "images_per_second", "data_wait_s", "waited_s", "spent_s")
EVERYTHING_CHANGED = AugmentConfig(policy="standard", erase=0.5, translate=0.1)
CONTRARY = {"contrary": True, "lr": 3e-2, "batch_norm": "frozen"}
COURSES: Mapping[str, Mapping[str, Any]] = {
    "AdamW on a cosine": {},
    "Adam in steps": {"optim": {"name": "adam", "schedule": "step"}},
    "SGD on one cycle": {"optim": {"name": "sgd", "schedule": "onecycle"}},
    "AdamW on one cycle": {"optim": {"schedule": "onecycle"}},
    "RMSprop": {"optim": {"name": "rmsprop", "schedule": "constant"}},
    "rates by depth, clipped": {"optim": {"layer_decay": 0.5, "clip_norm": 0.1}},
    "EMA": {"ema": 0.9},
    "standard changes": {"augmentation": EVERYTHING_CHANGED},
    "MixUp and CutMix": {"augmentation": AugmentConfig(mixup=0.4, cutmix=1.0), "epochs": 3},
    "trivial": {"augmentation": AugmentConfig(policy="trivial")},
    "dropout": {"args": {"drop_rate": 0.5, "drop_path_rate": 0.3}},
    "bfloat16": {"pace": Pace(precision="bfloat16")},
    "lowered": {"pace": Pace(lowered=True)},
    "lowered bfloat16": {"pace": Pace(lowered=True, precision="bfloat16")},
    "channels first": {"pace": Pace(channels_last=False)},
    "frozen batch norm": {"batch_norm": "frozen"},
    "last stages": {"trained": 1, "batch_norm": "frozen"},
    "balanced sampling": {"sampling": "balanced", "rare": True},
    "class weights": {"class_weights": "balanced", "rare": True},
    "label smoothing": {"label_smoothing": 0.1},
    "best kept": {"keep": "best", "epochs": 3, **CONTRARY},
    "best average kept": {"keep": "best", "ema": 0.5, "epochs": 3, **CONTRARY},
    "patience": {"patience": 1, "epochs": 5, **CONTRARY, "lr": 2e-2},
    "cosine head": {"args": {"head": "cosine"}},
    "odd batches": {"num_train": 19},
    "no validation": {"num_validation": 0, "keep": "best"},
    "test watched": {"num_test": 6},
    "average watched on test, no validation": {"num_validation": 0, "num_test": 6, "ema": 0.9},
}
SAME_WEIGHTS = (
    {"AdamW on a cosine", "no validation", "test watched"},
    {"EMA", "average watched on test, no validation"},
)
"""Courses that differ in what is looked at, and in nothing else."""


class CrashError(Exception):
    """Stands for a power cut."""


class Crashing(Unwatched):
    """Crashes when the loop tells of the n-th batch, or once that step is on the disk."""

    def __init__(self, *, at_batch: int = -1, at_saved: int = -1, at_epoch: int = -1) -> None:
        self.at_batch, self.at_saved, self.at_epoch = at_batch, at_saved, at_epoch
        self.num_batches = 0
        self.notes: list[str] = []
        self.saved_steps: list[int] = []

    def batch(self, num_photos: int) -> None:  # noqa: ARG002
        self.num_batches += 1
        if self.num_batches == self.at_batch:
            raise CrashError

    def saved(self, step: int, seconds: float) -> None:  # noqa: ARG002
        self.saved_steps.append(step)
        if len(self.saved_steps) == self.at_saved:
            raise CrashError

    def epoch(self, history: Any, *, num_epochs: int) -> None:  # noqa: ARG002
        if len(history) == self.at_epoch:
            raise CrashError

    def note(self, text: str) -> None:
        self.notes.append(text)


class Training:
    """One training, each part of it by a program that knows nothing but what is on the disk."""

    def __init__(
        self, make: MakeClassifier, photos: Any, fit_tiny: FitTiny, course: Mapping[str, Any]
    ) -> None:
        self._asked = {"num_train": 16, "num_validation": 6, **course}
        self._args = self._asked.pop("args", {})
        pixels, labels = photos[0], photos[1].copy()
        if self._asked.pop("rare", False):
            labels[3:16][labels[3:16] == 2] = 0
        if self._asked.pop("contrary", False):
            labels[16:] = (labels[16:] + 1) % 3  # the more is learned, the worse it gets
        self._photos = pixels, labels
        self._make, self._fit = make, fit_tiny

    def part(self, folder: Path, watch: Unwatched, *, every_s: float) -> tuple[Fitted, Classifier]:
        """Go on from what is in the folder."""
        torch.rand(7)  # what was drawn before must not matter
        classifier, checkpoints = self._make(**self._args), Checkpoints(folder)
        begun = checkpoints.latest(pytest.fail)
        state = {"begun": begun, "checkpoints": checkpoints, "watch": watch}
        asked = {**self._asked, "checkpoint_every_s": every_s}
        return self._fit(classifier, self._photos, state=state, **asked), classifier


@pytest.fixture
def training(
    request: pytest.FixtureRequest,
    make_classifier: MakeClassifier,
    make_photos: MakePhotos,
    fit_tiny: FitTiny,
) -> Training:
    """The training whose name the test is parametrized with."""
    course = COURSES[getattr(request, "param", "AdamW on a cosine")]
    return Training(make_classifier, make_photos(33, noise=120.0), fit_tiny, course)


def in_parts(training: Training, folder: Path, *watches: Crashing) -> tuple[Fitted, Classifier]:
    """Crash as each of these says, and then go on to the end."""
    for watch in watches:
        with pytest.raises(CrashError):
            training.part(folder, watch, every_s=AFTER_EACH_STEP)
    return training.part(folder, Unwatched(), every_s=AFTER_EACH_STEP)


def last_of(folder: Path) -> Checkpoint:
    found = Checkpoints(folder).latest(pytest.fail)
    assert found is not None
    return found


def without_times(values: Mapping[str, Any]) -> dict[str, Any]:
    plain = {key: value for key, value in values.items() if key not in TIMES}
    if "history" in plain:
        plain["history"] = [without_times(row) for row in plain["history"]]
    return plain


def require_same_tensors(
    found: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]
) -> None:
    assert found.keys() == expected.keys()
    different = [name for name in found if not torch.equal(found[name], expected[name])]
    assert not different


def require_same_runs(
    one: tuple[Fitted, Classifier, Path], other: tuple[Fitted, Classifier, Path]
) -> None:
    """Compare the weights that are kept, and all that the last checkpoints hold."""
    (fitted, classifier, folder), (its_fitted, its_classifier, its_folder) = one, other
    weights, its_weights = classifier.network.state_dict(), its_classifier.network.state_dict()
    require_same_tensors(weights, its_weights)
    for row, its_row in zip(fitted.history, its_fitted.history, strict=True):
        assert without_times(row.to_json()) == without_times(its_row.to_json())
    for name in ("settled", "kept_epoch", "stopped_early", "batch_norm"):
        assert getattr(fitted, name) == getattr(its_fitted, name)
    end, its_end = last_of(folder), last_of(its_folder)
    assert end.step == its_end.step
    require_same_tensors(end.tensors, its_end.tensors)
    assert without_times(end.state) == without_times(its_end.state)


@pytest.mark.parametrize("training", COURSES, indirect=True)
def test_a_run_stopped_after_every_single_step_is_the_run_that_was_not(
    training: Training, tmp_path: Path
) -> None:
    never, often = tmp_path / "never", tmp_path / "often"
    whole = training.part(never, Unwatched(), every_s=1e6)
    for _ in range(40):
        watch = Crashing(at_saved=1)
        try:
            parts = training.part(often, watch, every_s=AFTER_EACH_STEP)
        except CrashError:
            assert watch.num_batches <= 1
        else:
            break
    assert watch.num_batches == 0
    require_same_runs((*parts, often), (*whole, never))


@pytest.mark.parametrize("training", ["EMA", "SGD on one cycle", "dropout"], indirect=True)
@pytest.mark.parametrize("batch", [1, 2, 3, 4])
def test_a_crash_at_any_batch_is_made_good(batch: int, training: Training, tmp_path: Path) -> None:
    """Two steps an epoch: in its middle, at its end, in the first and in the last epoch."""
    never, once = tmp_path / "never", tmp_path / "once"
    whole = training.part(never, Unwatched(), every_s=1e6)
    parts = in_parts(training, once, Crashing(at_batch=batch))
    require_same_runs((*parts, once), (*whole, never))


def test_a_crash_while_an_epoch_is_told_of_is_made_good(training: Training, tmp_path: Path) -> None:
    never, once = tmp_path / "never", tmp_path / "once"
    whole = training.part(never, Unwatched(), every_s=1e6)
    parts = in_parts(training, once, Crashing(at_epoch=1), Crashing(at_epoch=2))
    require_same_runs((*parts, once), (*whole, never))


def test_steps_that_were_not_saved_are_taken_again(training: Training, tmp_path: Path) -> None:
    never, once = tmp_path / "never", tmp_path / "once"
    whole = training.part(never, Unwatched(), every_s=1e6)
    watch = Crashing(at_batch=3)
    with pytest.raises(CrashError):
        training.part(once, watch, every_s=1e6)
    assert watch.saved_steps == [0]
    again = Crashing()
    parts = training.part(once, again, every_s=1e6)
    assert again.num_batches == 4
    require_same_runs((*parts, once), (*whole, never))


def test_a_run_that_is_asked_to_stop_finishes_its_step_and_saves(
    training: Training, tmp_path: Path
) -> None:
    class Asking(Crashing):
        def batch(self, num_photos: int) -> None:
            super().batch(num_photos)
            signal.raise_signal(signal.SIGTERM)

    never, twice = tmp_path / "never", tmp_path / "twice"
    whole = training.part(never, Unwatched(), every_s=1e6)
    for step in (1, 2, 3):
        watch = Asking()
        with pytest.raises(Stopped, match=r"^stopped by SIGTERM$"):
            training.part(twice, watch, every_s=1e6)
        assert watch.num_batches == 1
        assert watch.saved_steps[-1] == last_of(twice).step == step
    parts = training.part(twice, Unwatched(), every_s=1e6)
    require_same_runs((*parts, twice), (*whole, never))


@pytest.mark.parametrize("training", ["EMA", "test watched", "best average kept"], indirect=True)
@pytest.mark.parametrize("epoch", [1, 2])
def test_a_run_asked_to_stop_while_it_scores_photos_leaves_at_once_and_scores_them_again(
    epoch: int, training: Training, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a predictor that would go on for a minute, a photo at a time."""
    never, once = tmp_path / "never", tmp_path / "once"
    whole = training.part(never, Unwatched(), every_s=1e6)
    plain, begun = Predictor.logits, []

    def slow(predictor: Predictor, *args: Any, on_batch: Any, **named: Any) -> Any:
        begun.append(1)
        if len(begun) == epoch * (2 if whole[0].history[0].test_loss >= 0 else 1):
            signal.raise_signal(signal.SIGTERM)
            for _ in range(60):
                on_batch(1)
                time.sleep(1)
        return plain(predictor, *args, on_batch=on_batch, **named)

    watch, began_s = Crashing(), time.monotonic()
    monkeypatch.setattr(Predictor, "logits", slow)
    with pytest.raises(Stopped, match=r"^stopped by SIGTERM$"):
        training.part(once, watch, every_s=1e6)
    assert time.monotonic() - began_s < 20
    monkeypatch.setattr(Predictor, "logits", plain)
    saved = last_of(once)
    assert (saved.state["epoch"], saved.state["index"]) == (epoch, 2)
    assert len(saved.state["history"]) == epoch - 1
    again = Crashing()
    parts = training.part(once, again, every_s=1e6)
    assert again.num_batches == watch.num_batches * (len(whole[0].history) - epoch) / epoch
    require_same_runs((*parts, once), (*whole, never))


def test_a_stop_in_the_very_last_epoch_leaves_a_run_that_only_has_to_be_finished(
    training: Training, tmp_path: Path
) -> None:
    class Asking(Crashing):
        def epoch(self, history: Any, *, num_epochs: int) -> None:
            if len(history) == num_epochs:
                signal.raise_signal(signal.SIGINT)

    never, once = tmp_path / "never", tmp_path / "once"
    whole = training.part(never, Unwatched(), every_s=1e6)
    with pytest.raises(Stopped, match=r"^interrupted from the keyboard$"):
        training.part(once, Asking(), every_s=1e6)
    watch = Crashing()
    parts = training.part(once, watch, every_s=1e6)
    assert watch.num_batches == 0
    require_same_runs((*parts, once), (*whole, never))


def test_the_share_of_photos_that_fits_into_memory_is_remembered(
    training: Training, tmp_path: Path, limit_memory: Callable[[int], list[int]]
) -> None:
    """And so is the course: shares of a batch are not quite the batch where norms are of each."""
    tried = limit_memory(3)
    never, often = tmp_path / "never", tmp_path / "often"
    whole = training.part(never, Unwatched(), every_s=1e6)
    watch = Crashing(at_saved=3)
    with pytest.raises(CrashError):
        training.part(often, watch, every_s=AFTER_EACH_STEP)
    assert [note[:24] for note in watch.notes] == ["The GPU's memory does no"] * 2
    del tried[:]
    watch = Crashing()
    parts = training.part(often, watch, every_s=AFTER_EACH_STEP)
    assert set(tried) == {2}
    assert watch.notes == []
    require_same_runs((*parts, often), (*whole, never))


@pytest.mark.parametrize("training", ["best kept", "best average kept"], indirect=True)
def test_the_best_weights_of_before_the_stop_are_kept_after_it(
    training: Training, tmp_path: Path
) -> None:
    """The first epoch is the best; the run stops in the second, and goes on."""
    fitted, classifier = in_parts(training, tmp_path, Crashing(at_batch=3))
    assert fitted.kept_epoch == 1 < len(fitted.history)
    assert fitted.history[0].val_loss == min(row.val_loss for row in fitted.history)
    best = last_of(tmp_path).part("best")
    require_same_tensors(classifier.network.state_dict(), best)
    now = last_of(tmp_path).part("network")
    assert not torch.equal(best["head.weight"], now["head.weight"])


def test_the_course_kinds_named_above_do_what_they_say(
    make_classifier: MakeClassifier, make_photos: MakePhotos, fit_tiny: FitTiny, tmp_path: Path
) -> None:
    """So that the comparisons above are of trainings that differ from each other."""
    ends: dict[bytes, set[str]] = {}
    for name, course in COURSES.items():
        folder = tmp_path / name
        training = Training(make_classifier, make_photos(33, noise=120.0), fit_tiny, course)
        fitted, classifier = training.part(folder, Unwatched(), every_s=1e6)
        assert all(np.isfinite(row.train_loss) for row in fitted.history)
        state = classifier.network.state_dict()
        bits = b"".join(value.contiguous().numpy().tobytes() for value in state.values())
        ends.setdefault(bits, set()).add(name)
        if name == "patience":
            assert fitted.stopped_early
        if name.startswith("best"):
            assert fitted.kept_epoch < len(fitted.history)
        assert np.isfinite(fitted.history[-1].test_loss) == ("num_test" in course)
    alike = [names for names in ends.values() if len(names) > 1]
    assert sorted(alike, key=len) == sorted(SAME_WEIGHTS, key=len)
