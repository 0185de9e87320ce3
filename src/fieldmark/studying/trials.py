"""What a trial of a study is: a recipe run on the study's photos, without those of the test.

In: a trial, and a `Bench` that says where its photos are and what it starts from; both can be
pickled, so that any process may run it. Out: how it ended. What goes wrong with a trial is its end,
not the study's.
"""

import math
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldmark import stages
from fieldmark.base.errors import FieldmarkError
from fieldmark.base.progress import SilentProgress
from fieldmark.evaluation.metrics import negative_log_likelihood
from fieldmark.planning import plan as settle
from fieldmark.recipe import Recipe
from fieldmark.studies.basis import Basis, reading_key
from fieldmark.studies.drawing import bootstrap
from fieldmark.studies.materials import Materials, read_materials
from fieldmark.studies.schedule import Verdict
from fieldmark.studies.trials import EpochPoint, Trial, TrialEnd, TrialResult
from fieldmark.training.batches import Pictures
from fieldmark.training.checkpoint import Checkpoints
from fieldmark.training.course import Unwatched
from fieldmark.training.head_fit import HeadPhotos, head_photos, train_head
from fieldmark.training.probe import Labelled, fit_head, fit_probe
from fieldmark.training.strategies import Configs, fit_network
from fieldmark.training.tally import Epoch

OUT_OF_MEMORY = ("out of memory", "not enough memory", "can't allocate memory", "bad_alloc")
"""How torch and the system say it where it is no MemoryError."""

OnEpoch = Callable[[Trial, Sequence[EpochPoint], int], None]
"""Told of the epochs of a trial so far, and how many are planned."""

# Legend for shape suffixes: M photos in all, N photos of a split, C classes, F features.


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What the trials of a study are run with."""

    work: Path
    """The folder of the materials; trials keep their checkpoints there."""
    basis: Basis
    is_bootstrapped: bool
    """Whether a trial of strategy "probe" learns from a draw of the training photos."""
    verdict: Verdict | None = None
    """Says which trials are hopeless; None: none is."""

    def saved(self, trial: Trial) -> Path:
        """Return the folder of a trial's checkpoints."""
        return self.work / f"trial-{trial.number}"

    def recipe(self, trial: Trial) -> Recipe:
        """Return the recipe that a trial runs."""
        return self.basis.with_settings(trial.settings, seed=trial.seed)


class _HopelessError(Exception):
    """A trial is far behind others."""


def run_trial(trial: Trial, *, bench: Bench, on_epoch: OnEpoch | None = None) -> TrialEnd:
    """Run a trial to its end, whatever that is.

    Raises:
        KeyboardInterrupt: it was stopped; a network's state is saved, and the next attempt goes on
            from there.
    """
    run = _Run(trial=trial, bench=bench, on_epoch=on_epoch)
    try:
        end = TrialEnd(status="finished", result=run.result())
    except _HopelessError:
        end = TrialEnd(status="pruned", result=run.result_so_far())
    except Exception as error:  # noqa: BLE001 - what goes wrong with a trial shall not end the study
        _free_memory()
        end = TrialEnd(status="failed", error=told_of(error))
    shutil.rmtree(bench.saved(trial), ignore_errors=True)
    return end


def told_of(error: Exception) -> str:
    """Return in a line why a trial failed."""
    text = " ".join(str(error).split())
    if isinstance(error, FieldmarkError):
        return text
    if isinstance(error, MemoryError) or any(words in text.lower() for words in OUT_OF_MEMORY):
        return f"out of memory: {text}" if text else "out of memory"
    return f"{type(error).__name__}: {text}"


@dataclass(slots=True, kw_only=True)
class _Run:
    trial: Trial
    bench: Bench
    on_epoch: OnEpoch | None
    curve: tuple[EpochPoint, ...] = ()
    num_epochs: int = 0
    num_validation: int = 0
    began_s: float = field(default_factory=time.monotonic)

    def result(self) -> TrialResult:
        """Train as the recipe says."""
        materials = _materials(self.bench.work)
        recipe = self.bench.recipe(self.trial)
        self.num_validation = len(materials.rows["validation"])
        self.num_epochs = recipe.train.epochs
        if recipe.train.strategy == "probe":
            return self._probe(recipe, materials)
        if recipe.train.strategy == "head":
            return self._head(recipe, materials)
        return self._network(recipe, materials)

    def result_so_far(self) -> TrialResult:
        """Return what the last epoch left."""
        return self._of_epoch(self.curve[-1])

    def watched(self, history: Sequence[Epoch], *, num_epochs: int) -> None:
        """Take in an epoch; raise where the trial is hopeless."""
        self.curve, self.num_epochs = tuple(map(_point, history)), num_epochs
        if self.on_epoch is not None:
            self.on_epoch(self.trial, self.curve, num_epochs)
        verdict = self.bench.verdict
        if verdict and verdict.is_hopeless(self.trial, self.curve, num_epochs=num_epochs):
            raise _HopelessError

    def _probe(self, recipe: Recipe, materials: Materials) -> TrialResult:
        train, validation = _labelled(self.bench.work, reading_key(recipe))
        if self.bench.is_bootstrapped:
            drawn_N = bootstrap(
                train.labels_N, materials.groups_M[: materials.num_train], seed=self.trial.seed
            )
            train = Labelled(
                features_NF=train.features_NF[drawn_N], labels_N=train.labels_N[drawn_N]
            )
        num_classes, l2 = len(materials.classes), recipe.probe.l2
        if isinstance(l2, str):
            fitted = fit_probe(
                train,
                validation,
                config=recipe.probe,
                num_classes=num_classes,
                on_trial=lambda _: None,
            )
            head = fitted.chosen.head
        else:
            head = fit_head(train, l2=l2, num_classes=num_classes)
        of_train = _scores(head.logits(train.features_NF), train.labels_N)
        of_validation = _scores(head.logits(validation.features_NF), validation.labels_N)
        self.num_epochs = 0
        return self._of_epoch(
            EpochPoint(
                epoch=0,
                train_loss=of_train[0],
                train_accuracy=of_train[1],
                val_loss=of_validation[0],
                val_accuracy=of_validation[1],
            )
        )

    def _head(self, recipe: Recipe, materials: Materials) -> TrialResult:
        fitted = train_head(
            head_photos_of(self.bench, recipe)[0],
            train=recipe.train,
            optim=recipe.optim,
            num_classes=len(materials.classes),
            on_epoch=lambda history: self.watched(history, num_epochs=recipe.train.epochs),
        )
        return self._of_epoch(self.curve[fitted.kept_epoch - 1])

    def _network(self, recipe: Recipe, materials: Materials) -> TrialResult:
        key = reading_key(recipe)
        plan = settle(settled_recipe(recipe, materials))
        classifier, plan = stages.build(plan, classes=materials.classes)
        asked = plan.recipe
        fitted, _ = fit_network(
            classifier,
            pictures_of(self.bench, recipe)[1],
            materials.features_MF(key),
            configs=Configs(
                train=asked.train, optim=asked.optim, augment=asked.augment, probe=asked.probe
            ),
            device=plan.device,
            progress=SilentProgress(),
            checkpoints=Checkpoints(self.bench.saved(self.trial)),
            watch=_Watch(run=self),
        )
        # One that was resumed after its last epoch is told of none.
        self.curve, self.num_epochs = tuple(map(_point, fitted.history)), fitted.settled.num_epochs
        return self._of_epoch(self.curve[fitted.kept_epoch - 1])

    def _of_epoch(self, kept: EpochPoint) -> TrialResult:
        return TrialResult(
            num_validation=self.num_validation,
            val_loss=kept.val_loss,
            val_accuracy=kept.val_accuracy,
            train_loss=kept.train_loss,
            train_accuracy=kept.train_accuracy,
            curve=self.curve,
            seconds=time.monotonic() - self.began_s,
            num_epochs=self.num_epochs,
        )


@dataclass(slots=True, kw_only=True)
class _Watch(Unwatched):
    """Tells a run of its epochs."""

    run: _Run

    def epoch(self, history: Sequence[Epoch], *, num_epochs: int) -> None:
        self.run.watched(history, num_epochs=num_epochs)


@lru_cache(maxsize=1)
def _materials(work: Path) -> Materials:
    return read_materials(work)


@lru_cache(maxsize=1)
def _labelled(work: Path, key: str) -> tuple[Labelled, Labelled]:
    """Return the photos to train on and those of validation, by their features."""
    materials = _materials(work)
    features_MF = materials.features_MF(key)
    assert features_MF is not None
    features_MF, first = np.asarray(features_MF), materials.num_train
    return (
        Labelled(features_NF=features_MF[:first], labels_N=materials.labels_M[:first]),
        Labelled(features_NF=features_MF[first:], labels_N=materials.labels_M[first:]),
    )


@lru_cache(maxsize=1)
def _head_photos(work: Path, key: str) -> HeadPhotos:
    return head_photos(*_labelled(work, key))


def forget_materials() -> None:
    """Drop the photos that are kept between trials: their folder may hold others by now."""
    for kept in (_materials, _labelled, _head_photos):
        kept.cache_clear()


def _free_memory() -> None:
    """Give back what a trial that failed still holds on a GPU."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def head_photos_of(bench: Bench, recipe: Recipe) -> tuple[HeadPhotos, int]:
    """Return the photos as a head sees them, and the number of classes."""
    return _head_photos(bench.work, reading_key(recipe)), len(_materials(bench.work).classes)


def pictures_of(bench: Bench, recipe: Recipe) -> tuple[Materials, Pictures]:
    """Return the materials, and the photos as a network sees them; none are of the test split."""
    materials = _materials(bench.work)
    pixels_MHWC = materials.pixels_MHWC(reading_key(recipe))
    return materials, Pictures(
        pixels_MHWC=pixels_MHWC, labels_M=materials.labels_M, rows=materials.rows
    )


def settled_recipe(recipe: Recipe, materials: Materials) -> Recipe:
    """Return a recipe with what was found out of the photos filled in."""
    orientation: Any = materials.readings[reading_key(recipe)].orientation
    return replace(recipe, data=replace(recipe.data, orientation=orientation))


def _point(epoch: Epoch) -> EpochPoint:
    return EpochPoint(
        epoch=epoch.epoch,
        train_loss=epoch.train_loss,
        train_accuracy=epoch.train_accuracy,
        val_loss=epoch.val_loss,
        val_accuracy=epoch.val_accuracy,
    )


def _scores(logits_NC: NDArray[np.float64], labels_N: NDArray[np.int64]) -> tuple[float, float]:
    """Return loss and accuracy."""
    if not len(labels_N):
        return math.nan, math.nan
    loss = float(negative_log_likelihood(logits_NC, labels_N).mean())
    return loss, float((logits_NC.argmax(axis=1) == labels_N).mean())
