"""How training ends: after its epochs, for want of patience, or because the loss is lost."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from fieldmark.base.errors import RecipeError
from fieldmark.models.classifier import Classifier
from fieldmark.models.inference import Predictor
from fieldmark.training.checkpoint import Checkpoint, Checkpoints
from fieldmark.training.course import Unwatched
from fieldmark.training.fit import Fitted
from fieldmark.training.steps import Stepper

MakeClassifier = Callable[..., Classifier]
MakePhotos = Callable[..., tuple[NDArray[np.uint8], NDArray[np.int64]]]
FitTiny = Callable[..., Fitted]


class Saving(Unwatched):
    """Keeps the steps that were saved."""

    def __init__(self) -> None:
        self.steps: list[int] = []

    def saved(self, step: int, seconds: float) -> None:
        assert seconds >= 0
        self.steps.append(step)


def last_of(folder: Path) -> Checkpoint:
    found = Checkpoints(folder).latest(pytest.fail)
    assert found is not None
    return found


def weights_of(classifier: Classifier) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in classifier.network.state_dict().items()}


def contrary(make_photos: MakePhotos) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return photos of which those for validation have wrong labels: learning does harm."""
    pixels, labels = make_photos(33)
    labels = labels.copy()
    labels[24:] = (labels[24:] + 1) % 3
    return pixels, labels


# The weights that are kept


CONTRARY: dict[str, Any] = {"lr": 3e-2, "epochs": 5, "batch_norm": "frozen"}


@pytest.mark.parametrize("ema", [None, 0.5])
def test_the_weights_of_the_best_epoch_are_those_that_had_its_loss(
    ema: float | None, make_classifier: MakeClassifier, make_photos: MakePhotos, fit_tiny: FitTiny
) -> None:
    classifier, photos = make_classifier(), contrary(make_photos)
    fitted = fit_tiny(classifier, photos, **CONTRARY, keep="best", ema=ema)
    losses = [epoch.val_loss for epoch in fitted.history]
    assert fitted.kept_epoch == int(np.argmin(losses)) + 1 < 5 == len(losses)
    logits_NC = Predictor(classifier, device=torch.device("cpu")).logits(photos[0][24:33])
    shares_NC = torch.from_numpy(logits_NC).log_softmax(1)
    loss = -shares_NC[torch.arange(9), torch.from_numpy(photos[1][24:33])].mean()
    assert float(loss) == pytest.approx(min(losses), rel=1e-5)


def test_without_a_wish_the_last_weights_are_kept(
    make_classifier: MakeClassifier, make_photos: MakePhotos, fit_tiny: FitTiny
) -> None:
    kept, last = make_classifier(), make_classifier()
    fitted = fit_tiny(kept, contrary(make_photos), **CONTRARY)
    fit_tiny(last, contrary(make_photos), **CONTRARY, keep="last", patience=4)
    assert fitted.kept_epoch == 5
    theirs = weights_of(last)
    assert all(torch.equal(value, theirs[name]) for name, value in weights_of(kept).items())


def test_the_average_is_kept_and_training_goes_on_from_the_weights_themselves(
    make_classifier: MakeClassifier, make_photos: MakePhotos, fit_tiny: FitTiny, tmp_path: Path
) -> None:
    averaged, plain = make_classifier(), make_classifier()
    checkpoints = Checkpoints(tmp_path)
    fit_tiny(averaged, make_photos(33), ema=0.9, state={"checkpoints": checkpoints})
    fit_tiny(plain, make_photos(33))
    end, own = last_of(tmp_path), weights_of(plain)
    assert all(torch.equal(value, own[name]) for name, value in end.part("network").items())
    average = end.part("ema")
    assert all(torch.equal(value, average[name]) for name, value in weights_of(averaged).items())
    assert not torch.equal(average["head.weight"], own["head.weight"])


# Patience


@pytest.mark.parametrize("patience", [1, 2])
def test_training_stops_after_so_many_epochs_without_a_lower_loss(
    patience: int, make_classifier: MakeClassifier, make_photos: MakePhotos, fit_tiny: FitTiny
) -> None:
    fitted = fit_tiny(make_classifier(), contrary(make_photos), **CONTRARY, patience=patience)
    best = int(np.argmin([epoch.val_loss for epoch in fitted.history])) + 1
    num_done = len(fitted.history)
    assert num_done == best + patience < 5
    assert fitted.kept_epoch == best
    assert fitted.stopped_early == (
        f"no lower validation loss in {patience} epochs after epoch {best}, so training stopped "
        f"after {num_done} of 5"
    )


def test_patience_that_runs_out_with_the_last_epoch_is_no_early_stop(
    make_classifier: MakeClassifier, make_photos: MakePhotos, fit_tiny: FitTiny
) -> None:
    asked = {**CONTRARY, "epochs": 2, "patience": 1}
    fitted = fit_tiny(make_classifier(), contrary(make_photos), **asked)
    assert len(fitted.history) == 2
    assert fitted.stopped_early is None


@pytest.mark.parametrize("wish", [{"patience": 1}, {"keep": "best"}])
def test_without_validation_photos_there_is_nothing_to_wait_for_and_the_last_is_kept(
    wish: dict[str, Any],
    make_classifier: MakeClassifier,
    make_photos: MakePhotos,
    fit_tiny: FitTiny,
) -> None:
    fitted = fit_tiny(make_classifier(), make_photos(33), num_validation=0, epochs=3, **wish)
    assert (fitted.kept_epoch, fitted.stopped_early) == (3, None)


# Checkpoints


@pytest.mark.parametrize(("every_s", "steps"), [(1e6, [0, 6]), (1e-9, [0, 1, 2, 3, 3, 4, 5, 6, 6])])
def test_training_begins_and_ends_with_a_checkpoint_and_has_others_as_often_as_asked(
    every_s: float,
    steps: list[int],
    make_classifier: MakeClassifier,
    make_photos: MakePhotos,
    fit_tiny: FitTiny,
    tmp_path: Path,
) -> None:
    watch, checkpoints = Saving(), Checkpoints(tmp_path)
    state = {"watch": watch, "checkpoints": checkpoints}
    fit_tiny(make_classifier(), make_photos(33), checkpoint_every_s=every_s, state=state)
    assert watch.steps == steps
    assert last_of(tmp_path).step == 6


def test_where_saving_takes_long_it_becomes_rarer(
    make_classifier: MakeClassifier,
    make_photos: MakePhotos,
    fit_tiny: FitTiny,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A clock that moves by 10 s a step and 2 s a checkpoint: at most 1 s in 20 is for saving."""
    now = [0.0]
    save, step = Checkpoints.save, Stepper.step

    def slow_save(checkpoints: Checkpoints, checkpoint: Checkpoint) -> Path:
        now[0] += 2
        return save(checkpoints, checkpoint)

    def slow_step(stepper: Stepper, *args: Any, **named: Any) -> Any:
        now[0] += 10
        return step(stepper, *args, **named)

    monkeypatch.setattr(Checkpoints, "save", slow_save)
    monkeypatch.setattr(Stepper, "step", slow_step)
    monkeypatch.setattr("fieldmark.training.fit.time.monotonic", lambda: now[0])
    watch = Saving()
    state = {"watch": watch, "checkpoints": Checkpoints(tmp_path)}
    photos = make_photos(33)
    fit_tiny(make_classifier(), photos, checkpoint_every_s=5.0, epochs=3, state=state)
    assert watch.steps == [0, 4, 8, 9]


# Frozen


def test_what_is_frozen_does_not_move(
    make_classifier: MakeClassifier, make_photos: MakePhotos, fit_tiny: FitTiny
) -> None:
    classifier = make_classifier()
    before = weights_of(classifier)
    fit_tiny(classifier, make_photos(33), trained=1, batch_norm="batch", lr=1e-2)
    now = weights_of(classifier)
    moved = {name for name in before if not torch.equal(before[name], now[name])}
    assert {name.split(".")[0] for name in moved} == {"extractor", "head"}
    assert all("layer4" in name for name in moved if name.startswith("extractor"))
    assert any("running_mean" in name for name in moved)


def test_frozen_norms_keep_their_statistics_while_their_weights_learn(
    make_classifier: MakeClassifier, make_photos: MakePhotos, fit_tiny: FitTiny
) -> None:
    classifier = make_classifier()
    before = weights_of(classifier)
    fitted = fit_tiny(classifier, make_photos(33), batch_norm="frozen", lr=1e-2)
    now = weights_of(classifier)
    statistics = [name for name in before if "running_" in name or "num_batches" in name]
    assert len(statistics) > 9
    assert all(torch.equal(before[name], now[name]) for name in statistics)
    assert not torch.equal(*(w["extractor.backbone.bn1.weight"] for w in (before, now)))
    assert fitted.batch_norm == "frozen"


# A loss that is lost


def test_a_diverged_loss_names_the_place_the_files_and_the_learning_rate(
    make_classifier: MakeClassifier, make_photos: MakePhotos, fit_tiny: FitTiny
) -> None:
    classifier = make_classifier()
    with torch.no_grad():
        classifier.network.head.weight.fill_(3e38)
    with pytest.raises(
        RecipeError,
        match=r"^Training diverged in epoch 1, step 1: the loss is (nan|inf)\. The batch was of "
        r"(photo-\d\d\.png, ){3}photo-\d\d\.png\. Lower .*--set optim\.lr=0\.0005, "
        r"or set optim\.clip_norm=1\.0\.$",
    ):
        fit_tiny(classifier, make_photos(33), lr=0.005, batch_size=4)


def test_of_a_large_batch_some_files_are_named_and_the_others_counted(
    make_classifier: MakeClassifier,
    make_photos: MakePhotos,
    fit_tiny: FitTiny,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("fieldmark.training.fit.NUM_NAMED", 8)
    classifier = make_classifier()
    with torch.no_grad():
        classifier.network.head.weight.fill_(math.nan)
    with pytest.raises(RecipeError, match=r"was of (photo-\d\d\.png, ){7}\S+\.png and 16 more\. L"):
        fit_tiny(classifier, make_photos(33), batch_size=24)


@pytest.mark.parametrize("step", [2, 3, 5])
def test_the_photo_that_spoils_the_loss_is_among_those_named(
    step: int,
    make_classifier: MakeClassifier,
    make_photos: MakePhotos,
    fit_tiny: FitTiny,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain, named = Stepper._gradients, []

    def spoil(stepper: Stepper, batch: Any, epoch: int, index: int) -> Any:
        logits_NC, loss = plain(stepper, batch, epoch, index)
        if 3 * (epoch - 1) + index + 1 == step:
            named.extend(batch.members_N)
            return logits_NC, loss * math.nan
        return logits_NC, loss

    monkeypatch.setattr(Stepper, "_gradients", spoil)
    place = f"in epoch {1 + (step - 1) // 3}, step {1 + (step - 1) % 3}: the loss is nan"
    with pytest.raises(RecipeError, match=place) as caught:
        fit_tiny(make_classifier(), make_photos(33))
    listed = ", ".join(f"photo-{member:02d}.png" for member in named)
    assert f"The batch was of {listed}. Lower" in str(caught.value)


def spoil_weights(monkeypatch: pytest.MonkeyPatch, *, at_step: int) -> None:
    """Let one step of the optimizer, counted from 1, leave a weight that is not a number."""
    plain, calls = torch.optim.AdamW.step, [0]

    def step(optimizer: torch.optim.AdamW, *args: Any) -> None:
        plain(optimizer, *args)
        weights = optimizer.param_groups[0]["params"]
        calls[0] += len(weights) > 1  # a single one is to find out about fused kernels
        if calls[0] == at_step:
            with torch.no_grad():
                weights[0].fill_(math.nan)

    monkeypatch.setattr(torch.optim.AdamW, "step", step)


def test_divergence_in_the_very_last_step_is_noticed(
    make_classifier: MakeClassifier,
    make_photos: MakePhotos,
    fit_tiny: FitTiny,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spoil_weights(monkeypatch, at_step=1)
    with pytest.raises(RecipeError, match=r"in epoch 1, step 1: the loss is nan\. .*Lower"):
        fit_tiny(make_classifier(), make_photos(33), batch_size=24, epochs=1)


@pytest.mark.parametrize("every_s", [1e-9, 1e6])
@pytest.mark.parametrize("at_step", [2, 3, 5, 6])
def test_the_state_on_the_disk_stays_that_of_before_the_loss_was_lost(
    at_step: int,
    every_s: float,
    make_classifier: MakeClassifier,
    make_photos: MakePhotos,
    fit_tiny: FitTiny,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    spoil_weights(monkeypatch, at_step=at_step)
    state = {"checkpoints": Checkpoints(tmp_path)}
    asked: dict[str, Any] = {"keep": "best", "ema": 0.9, "checkpoint_every_s": every_s}
    with pytest.raises(RecipeError, match="diverged"):
        fit_tiny(make_classifier(), make_photos(33), **asked, state=state)
    kept = last_of(tmp_path)
    assert kept.step == (at_step - 1 if every_s < 1 else 0)
    assert all(value.isfinite().all() for value in kept.tensors.values())


def test_statistics_that_are_lost_are_noticed_when_validating_and_are_never_the_best(
    make_classifier: MakeClassifier,
    make_photos: MakePhotos,
    fit_tiny: FitTiny,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """The running averages of norms are no parameters; training goes on without them."""
    plain, calls = Stepper.step, [0]

    def step(stepper: Stepper, *args: Any, **named: Any) -> Any:
        result = plain(stepper, *args, **named)
        calls[0] += 1
        if calls[0] == 6:
            stepper.network.get_buffer("extractor.backbone.bn1.running_mean").fill_(math.nan)
        return result

    monkeypatch.setattr(Stepper, "step", step)
    state = {"checkpoints": Checkpoints(tmp_path)}
    asked: dict[str, Any] = {"keep": "best", "checkpoint_every_s": 1e-9}
    with pytest.raises(RecipeError, match=r"in epoch 2, step 3: the loss is nan\. Lower"):
        fit_tiny(make_classifier(), make_photos(33), **asked, state=state)
    best = last_of(tmp_path).part("best")
    assert best
    assert all(value.isfinite().all() for value in best.values())
