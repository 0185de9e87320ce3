"""The strategy "head": a linear head trained by steps on features of the frozen backbone.

In: a classifier, the photos of each split and their features. Out: the head set in the classifier,
the logits of every photo, and the history. Where a run is stopped it trains anew: that takes
seconds, and gives the same.
Not covered: the steps themselves (`head_fit`); the strategies that train a network (`strategies`).
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from fieldmark.base.progress import Progress
from fieldmark.models.classifier import Classifier
from fieldmark.models.inference import Predictor
from fieldmark.training.batches import Pictures
from fieldmark.training.course import Choice, Pace, Settled, Unwatched, Watch
from fieldmark.training.fit import Fitted
from fieldmark.training.head_fit import HeadFit, head_photos, train_head
from fieldmark.training.probe import Labelled
from fieldmark.training.strategies import Configs, Outcome, set_head, summary_of
from fieldmark.training.tally import Epoch

# Legend for shape suffixes: M photos in all, F features.


def learn_head(
    classifier: Classifier,
    pictures: Pictures,
    features_MF: NDArray[np.float32],
    *,
    configs: Configs,
    device: torch.device,
    progress: Progress,
    watch: Watch | None = None,
) -> Outcome:
    """Train the head on features and set it in `classifier`, then predict all photos.

    Args:
        classifier: its backbone is left as it is.
        pictures: the photos; their pixels are not looked at.
        features_MF: of all photos, in the order of `pictures`.
        configs: how.
        device: on which the classifier will predict.
        progress: told of the training.
        watch: told of each epoch.

    Raises:
        DataError: there are fewer than two photos to train on.
        RecipeError: the loss became infinite or not a number.
    """
    watch = watch or Unwatched()
    train, num_epochs = configs.train, configs.train.epochs
    test = _labelled("test", pictures, features_MF) if train.watch_test else None
    num_photos = len(pictures.rows["train"])
    progress.start("Training", total=num_epochs * num_photos, unit="photos")

    def on_epoch(history: Sequence[Epoch]) -> None:
        watch.batch(num_photos)
        watch.epoch(history, num_epochs=num_epochs)

    trained = train_head(
        head_photos(
            _labelled("train", pictures, features_MF),
            _labelled("validation", pictures, features_MF),
            test=test,
        ),
        train=train,
        optim=configs.optim,
        num_classes=len(classifier.classes),
        on_epoch=on_epoch,
    )
    if trained.range_test is not None:
        watch.range_tested(trained.range_test)
    fitted = _fitted(trained, num_epochs=num_epochs)
    progress.finish(summary_of(fitted))
    set_head(classifier, trained.head)
    logits_MC = Predictor(classifier, device=device).logits_of_features(features_MF)
    return Outcome(logits_MC=logits_MC, fitted=fitted, range_test=trained.range_test)


def _labelled(split: str, pictures: Pictures, features_MF: NDArray[np.float32]) -> Labelled:
    rows_N = pictures.rows[split]
    return Labelled(features_NF=features_MF[rows_N], labels_N=pictures.labels_M[rows_N])


def _fitted(trained: HeadFit, *, num_epochs: int) -> Fitted:
    """Return the course in the form that a network's has."""
    choices: tuple[Choice, ...] = ()
    if (tested := trained.range_test) is not None:
        rate = f"{tested.proposed:.2g}"
        choices = (Choice(what="learning rate", chosen=rate, reason=tested.reason),)
    return Fitted(
        history=trained.history,
        settled=Settled(pace=Pace(), lr=trained.lr, num_epochs=num_epochs, choices=choices),
        kept_epoch=trained.kept_epoch,
        stopped_early=trained.stopped_early,
        batch_norm="frozen",
    )
