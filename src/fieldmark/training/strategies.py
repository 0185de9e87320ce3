"""How a classifier is trained, from the pixels of all photos to their logits.

In: a classifier with a fresh head, the photos of each split and the configs. Out: the classifier,
trained in place, and the logits of every photo.
"probe" freezes the backbone and fits a linear head; "all" trains every weight.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from fieldmark.base.progress import Progress
from fieldmark.data.augment import AugmentConfig
from fieldmark.models.classifier import Classifier
from fieldmark.models.inference import Predictor
from fieldmark.training.fit import Epoch, Photos, TrainConfig, fit
from fieldmark.training.optim import OptimConfig
from fieldmark.training.probe import Labelled, LinearHead, Probe, ProbeConfig, fit_probe

# Legend for shape suffixes: M photos in all, N photos of a split, C classes, F features.


@dataclass(frozen=True, slots=True, kw_only=True)
class Pictures:
    """All photos of a run: pixels_MHWC (uint8) and labels_M (indices)."""

    pixels_MHWC: NDArray[np.uint8]
    labels_M: NDArray[np.int64]
    rows: Mapping[str, NDArray[np.int64]]
    """Positions of the photos of each split: train, validation and test."""

    def of_split(self, name: str) -> Photos:
        """Return the photos of one split."""
        rows_N = self.rows[name]
        return Photos(pixels_MHWC=self.pixels_MHWC, rows_N=rows_N, labels_N=self.labels_M[rows_N])


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What training leaves besides the weights: logits_MC (float32) and the course it took."""

    logits_MC: NDArray[np.float32]
    history: Sequence[Epoch] = ()
    probe: Probe | None = None


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
    _set_head(classifier, probe.chosen.head)
    blind = predictor.logits_of_features(features_MF)
    _set_head(classifier, probe.head)
    logits_MC = predictor.logits_of_features(features_MF)
    # The final head has seen the validation photos; their logits come from the one that has not.
    validation_N = pictures.rows["validation"]
    logits_MC[validation_N] = blind[validation_N]
    return Outcome(logits_MC=logits_MC, probe=probe)


def train_all(
    classifier: Classifier,
    pictures: Pictures,
    *,
    config: TrainConfig,
    optim: OptimConfig,
    augmentation: AugmentConfig,
    autocast: torch.dtype | None,
    device: torch.device,
    progress: Progress,
) -> Outcome:
    """Train every weight of `classifier`, then predict all photos."""
    train = pictures.of_split("train")
    progress.start("Training", total=config.epochs * len(train.labels_N), unit="photos")
    history = fit(
        classifier,
        train=train,
        validation=pictures.of_split("validation"),
        config=config,
        optim=optim,
        augmentation=augmentation,
        device=device,
        autocast=autocast,
        on_batch=progress.advance,
        on_epoch=_announce(progress, num_epochs=config.epochs),
    )
    last = history[-1]
    progress.finish(
        f"{_counted(config.epochs, 'epoch')}, train loss {last.train_loss:.3f}, "
        f"validation accuracy {last.val_accuracy:.2%}"
    )
    progress.start("Prediction", total=len(pictures.labels_M), unit="photos")
    predictor = Predictor(classifier, device=device)
    logits_MC = predictor.logits(pictures.pixels_MHWC, on_batch=progress.advance)
    progress.finish(f"{len(logits_MC):,} photos")
    return Outcome(logits_MC=logits_MC, history=history)


def _search(
    features_MF: NDArray[np.float32],
    pictures: Pictures,
    config: ProbeConfig,
    num_classes: int,
    progress: Progress,
) -> Probe:
    def labelled(split: str) -> Labelled:
        rows_N = pictures.rows[split]
        return Labelled(features_NF=features_MF[rows_N], labels_N=pictures.labels_M[rows_N])

    progress.start("Training", total=None, unit="strengths")
    probe = fit_probe(
        labelled("train"),
        labelled("validation"),
        config=config,
        num_classes=num_classes,
        on_trial=lambda trial: progress.advance(detail=f"l2 {trial.l2:g}"),
    )
    progress.finish(
        f"{_counted(len(probe.trials), 'strength')} tried, l2 {probe.chosen.l2:g} chosen, "
        f"validation accuracy {probe.chosen.val_accuracy:.2%}"
    )
    return probe


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _announce(progress: Progress, *, num_epochs: int) -> Callable[[Epoch], None]:
    def on_epoch(epoch: Epoch) -> None:
        detail = f"epoch {epoch.epoch}/{num_epochs}, validation accuracy {epoch.val_accuracy:.2%}"
        progress.advance(0, detail=detail)

    return on_epoch


def _set_head(classifier: Classifier, head: LinearHead) -> None:
    with torch.no_grad():
        classifier.network.head.weight.copy_(torch.from_numpy(head.weight_CF))
        classifier.network.head.bias.copy_(torch.from_numpy(head.bias_C))
