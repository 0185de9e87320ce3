"""How a classifier is trained, from the pixels of all photos to their logits.

In: a classifier with a fresh head, the photos of each split and the configs. Out: the classifier,
trained in place, and the logits of every photo.
"probe" freezes the backbone and fits a linear head. The others train the network: "all" at once,
"head-then-all" from a head fitted first (Kumar et al. 2022), "last-stages" that, and only the
last stages of the backbone.
Not covered: a head that is trained by steps (`head_strategy`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from fieldmark.base.counting import counted
from fieldmark.base.progress import Progress
from fieldmark.data.augment import AugmentConfig
from fieldmark.models.classifier import Classifier
from fieldmark.models.depth import DepthGroup, depth_groups, freeze_below
from fieldmark.models.heads import imprint
from fieldmark.models.inference import Predictor
from fieldmark.training.batches import Photos, Pictures
from fieldmark.training.checkpoint import Checkpoint, Checkpoints
from fieldmark.training.config import TrainConfig
from fieldmark.training.course import Course, Settled, Unwatched, Watch
from fieldmark.training.fit import Fitted, fit
from fieldmark.training.optim import OptimConfig
from fieldmark.training.preparation import new_batches
from fieldmark.training.probe import Labelled, LinearHead, Probe, ProbeConfig, fit_probe
from fieldmark.training.range_test import RangeTest
from fieldmark.training.scoring import predict_all
from fieldmark.training.settling import settle

NUM_SHOWN = 8
"""Photos in the picture of a batch before and after."""

# Legend for shape suffixes: M photos in all, N photos of a split, C classes, F features.


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What training leaves besides the weights: logits_MC (float32) and the course it took."""

    logits_MC: NDArray[np.float32]
    features_MF: NDArray[np.float32] | None = None
    """By the backbone as it was trained; None where it was not, or they were too many to keep."""
    probe: Probe | None = None
    """None but for the strategy "probe"."""
    fitted: Fitted | None = None
    """None for the strategy "probe"; all others have epochs."""
    range_test: RangeTest | None = None
    test_s: float | None = None
    """Seconds that it took to predict the test photos; None where that was no pass of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Configs:
    """The sections of the recipe that say how to train."""

    train: TrainConfig
    optim: OptimConfig
    augment: AugmentConfig
    probe: ProbeConfig


def train_probe(
    classifier: Classifier,
    pictures: Pictures,
    features_MF: NDArray[np.float32],
    *,
    config: ProbeConfig,
    device: torch.device,
    progress: Progress,
) -> Outcome:
    """Fit the head on features of the frozen backbone and set it in `classifier`.

    `features_MF` are those of all photos, in the order of `pictures`.
    """
    predictor = Predictor(classifier, device=device)
    probe = _search(features_MF, pictures, config, len(classifier.classes), progress)
    set_head(classifier, probe.chosen.head)
    blind = predictor.logits_of_features(features_MF)
    set_head(classifier, probe.head)
    logits_MC = predictor.logits_of_features(features_MF)
    # The final head has seen the validation photos; their logits come from the one that has not.
    validation_N = pictures.rows["validation"]
    logits_MC[validation_N] = blind[validation_N]
    return Outcome(logits_MC=logits_MC, probe=probe)


def train_network(
    classifier: Classifier,
    pictures: Pictures,
    features_MF: NDArray[np.float32] | None,
    *,
    configs: Configs,
    device: torch.device,
    progress: Progress,
    checkpoints: Checkpoints | None = None,
    watch: Watch | None = None,
) -> Outcome:
    """Train the weights of `classifier` that the strategy says, then predict all photos.

    The arguments are those of `fit_network`.
    """
    fitted, tested = fit_network(
        classifier,
        pictures,
        features_MF,
        configs=configs,
        device=device,
        progress=progress,
        checkpoints=checkpoints,
        watch=watch,
    )
    progress.start("Prediction", total=len(pictures.labels_M), unit="photos")
    predicted = predict_all(
        classifier,
        pictures.pixels_MHWC,
        first_N=pictures.rows["test"],
        device=device,
        on_batch=progress.advance,
    )
    progress.finish(f"{len(predicted.logits_MC):,} photos")
    return Outcome(
        logits_MC=predicted.logits_MC,
        features_MF=predicted.features_MF,
        fitted=fitted,
        range_test=tested,
        test_s=predicted.seconds,
    )


def fit_network(
    classifier: Classifier,
    pictures: Pictures,
    features_MF: NDArray[np.float32] | None,
    *,
    configs: Configs,
    device: torch.device,
    progress: Progress,
    checkpoints: Checkpoints | None = None,
    watch: Watch | None = None,
) -> tuple[Fitted, RangeTest | None]:
    """Train the weights of `classifier` that the strategy says; nothing is predicted.

    Args:
        classifier: trained in place.
        pictures: the photos.
        features_MF: by the backbone as it comes, in the order of `pictures`; None where its
            weights are random.
        configs: how.
        device: where.
        progress: told of the stages.
        checkpoints: where to save, and where to go on from if there is something; None: nowhere.
        watch: told how training goes on.

    Returns:
        How it went, and the range test where there was one.
    """
    watch = watch or Unwatched()
    begun = checkpoints.latest(watch.note) if checkpoints else None
    course = plan_course(classifier, configs, pretrained=features_MF is not None, device=device)
    if begun is None and features_MF is not None and configs.train.strategy != "all":
        _start_head(classifier, features_MF, pictures, configs.probe, progress)
    if begun is not None:
        progress.note(_going_on(begun))
    train, validation = pictures.of_split("train"), pictures.of_split("validation")
    test = pictures.of_split("test") if configs.train.watch_test else None
    settled, tested = _settled(classifier, train, validation, test, course, begun, progress)
    if tested is not None:
        watch.range_tested(tested)
    if begun is None:
        watch.shown(*new_batches(classifier, train, course).before_and_after(NUM_SHOWN))
    total = settled.num_epochs * len(train.labels_N)
    progress.start("Training", total=total, unit="photos")
    progress.advance(_num_done(begun, len(train.labels_N)))
    fitted = fit(
        classifier,
        train=train,
        validation=validation,
        test=test,
        course=course,
        settled=settled,
        begun=begun,
        checkpoints=checkpoints,
        watch=watch,
    )
    progress.finish(summary_of(fitted))
    return fitted, tested


def plan_course(
    classifier: Classifier, configs: Configs, *, pretrained: bool, device: torch.device
) -> Course:
    """Freeze what the strategy leaves alone, and return the course that follows from the recipe.

    Raises:
        RecipeError: the backbone has fewer stages than shall be trained.
    """
    config, extractor = configs.train, classifier.network.extractor
    frozen: Sequence[DepthGroup] = ()
    if config.strategy == "last-stages":
        frozen = freeze_below(extractor, trained=config.last_stages)
    return Course(
        config=config,
        optim=configs.optim,
        augmentation=configs.augment,
        device=device,
        batch_norm=batch_norm_mode(config, pretrained=pretrained),
        groups=depth_groups(extractor),
        frozen=[module for group in frozen for module in group.modules],
    )


def batch_norm_mode(config: TrainConfig, *, pretrained: bool) -> str:
    """Return "frozen" or "batch".

    Statistics of a million photos are better than those of a batch of thirty, and a head that was
    fitted with them keeps fitting; random weights come with none.
    """
    if config.batch_norm != "auto":
        return config.batch_norm
    return "frozen" if pretrained else "batch"


def _settled(
    classifier: Classifier,
    train: Photos,
    validation: Photos,
    test: Photos | None,
    course: Course,
    begun: Checkpoint | None,
    progress: Progress,
) -> tuple[Settled, RangeTest | None]:
    if begun is not None:
        return Settled.from_json(begun.state["settled"]), None
    progress.start("Preparation", total=None, unit="steps")
    found = settle(classifier, train=train, validation=validation, test=test, course=course)
    progress.finish(counted(len(found.settled.choices), "choice"))
    for choice in found.settled.choices:
        progress.note(f"{choice.what}: {choice.chosen} ({choice.reason})")
    return found.settled, found.range_test


def _going_on(begun: Checkpoint) -> str:
    epoch, index = begun.state["epoch"], begun.state["index"]
    if begun.state["stopped_early"] or epoch > begun.state["settled"]["num_epochs"]:
        return "Training was finished; it goes on with what comes after it."
    done = f"after {counted(index, 'step')} of it" if index else "from its beginning"
    return f"Training goes on in epoch {epoch}, {done}."


def _num_done(begun: Checkpoint | None, num_photos: int) -> int:
    if begun is None:
        return 0
    return (int(begun.state["epoch"]) - 1) * num_photos + int(begun.state["num_seen"])


def summary_of(fitted: Fitted) -> str:
    """Say how many epochs there were, which was kept, and how good it is."""
    last = fitted.history[-1]
    kept = fitted.history[fitted.kept_epoch - 1]
    of_kept = "" if kept is last else f", epoch {kept.epoch} kept"
    return (
        f"{counted(len(fitted.history), 'epoch')}, train loss {last.train_loss:.3f}{of_kept}, "
        f"{kept.told}"
    )


def _start_head(
    classifier: Classifier,
    features_MF: NDArray[np.float32],
    pictures: Pictures,
    config: ProbeConfig,
    progress: Progress,
) -> None:
    """Give the head weights that suit the backbone as it comes; a cosine head's are class means."""
    rows_N = pictures.rows["train"]
    if classifier.architecture.head == "cosine":
        imprint(classifier.network.head, features_MF[rows_N], pictures.labels_M[rows_N])
        return
    num_classes = len(classifier.classes)
    probe = _search(features_MF, pictures, config, num_classes, progress, stage="Head")
    set_head(classifier, probe.chosen.head)


def _search(
    features_MF: NDArray[np.float32],
    pictures: Pictures,
    config: ProbeConfig,
    num_classes: int,
    progress: Progress,
    *,
    stage: str = "Training",
) -> Probe:
    def labelled(split: str) -> Labelled:
        rows_N = pictures.rows[split]
        return Labelled(features_NF=features_MF[rows_N], labels_N=pictures.labels_M[rows_N])

    progress.start(stage, total=None, unit="strengths")
    probe = fit_probe(
        labelled("train"),
        labelled("validation"),
        config=config,
        num_classes=num_classes,
        on_trial=lambda trial: progress.advance(detail=f"l2 {trial.l2:g}"),
    )
    chosen, told = probe.chosen, ""
    if math.isfinite(chosen.val_accuracy):
        told = f", validation accuracy {chosen.val_accuracy:.2%}"
    progress.finish(
        f"{counted(len(probe.trials), 'strength')} tried, l2 {chosen.l2:g} chosen{told}"
    )
    return probe


def set_head(classifier: Classifier, head: LinearHead) -> None:
    """Give the classifier's linear head these weights."""
    with torch.no_grad():
        classifier.network.head.weight.copy_(torch.from_numpy(head.weight_CF))
        classifier.network.head.bias.copy_(torch.from_numpy(head.bias_C))
