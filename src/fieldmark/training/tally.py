"""What an epoch comes to: losses and right answers, gathered as it goes.

In: logits of each batch. Out: an `Epoch`, a row of `history.csv`.
The figures of the train split are those met in passing, of photos as they were changed, by weights
as they were then; those of validation and test are of the weights at the end of the epoch.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from fieldmark.evaluation.metrics import (
    POSITIVE_ABOVE,
    count_classes,
    macro_average,
    negative_log_likelihood,
    precision,
    ranks_of_truth,
    recall,
    softmax,
)

TOP_K = 5
SCORES = (
    *("loss", "accuracy", "precision", "recall", "top_k"),
    *("thresholded_precision", "thresholded_recall"),
)

# Legend for shape suffixes: N photos, C classes.


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """A row of `history.csv`.

    Losses are mean natural-log cross-entropies without label smoothing, precision and recall macro
    averages, top_k the share of photos whose class is among the five likeliest. The thresholded
    two are what Keras' Precision() and Recall() say: of the probabilities over a half the share
    that stand at the true class, and the share of photos whose true class has one. Of a split
    without photos, or that was not looked at, all are NaN.
    """

    epoch: int
    lr: float
    train_loss: float
    train_accuracy: float
    train_precision: float
    train_recall: float
    train_top_k: float
    train_thresholded_precision: float = math.nan
    train_thresholded_recall: float = math.nan
    val_loss: float
    val_accuracy: float
    val_precision: float
    val_recall: float
    val_top_k: float
    val_thresholded_precision: float = math.nan
    val_thresholded_recall: float = math.nan
    test_loss: float = math.nan
    test_accuracy: float = math.nan
    test_precision: float = math.nan
    test_recall: float = math.nan
    test_top_k: float = math.nan
    test_thresholded_precision: float = math.nan
    test_thresholded_recall: float = math.nan
    seconds: float
    """Of training: scoring other photos is not counted."""
    images_per_second: float
    data_wait_s: float
    """Seconds of these in which the network waited for its next batch."""

    @property
    def told(self) -> str:
        """Say how good it is: on validation photos, or else on test photos, or on those learned."""
        if math.isfinite(self.val_accuracy):
            return f"validation accuracy {self.val_accuracy:.2%}"
        if math.isfinite(self.test_accuracy):
            return f"test accuracy {self.test_accuracy:.2%}"
        return f"accuracy {self.train_accuracy:.2%} on the photos learned from"

    def to_json(self) -> dict[str, Any]:
        """Return the row as plain values, NaN as None."""
        values: dict[str, Any] = asdict(self)
        return {key: None if value != value else value for key, value in values.items()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote; what an older Fieldmark did not write is NaN."""
        row: dict[str, Any] = {
            key: math.nan if value is None else value for key, value in values.items()
        }
        return cls(**row)


HISTORY_HEADER = tuple(field.name for field in fields(Epoch))


class Tally:
    """The answers of one pass over a split's photos, kept on the device until the end."""

    def __init__(self, num_photos: int, *, device: torch.device) -> None:
        self.num_seen = 0
        self._loss_N = torch.zeros(num_photos, dtype=torch.float32, device=device)
        self._truth_N = torch.zeros(num_photos, dtype=torch.int64, device=device)
        self._answer_N = torch.zeros(num_photos, dtype=torch.int64, device=device)
        self._rank_N = torch.zeros(num_photos, dtype=torch.int64, device=device)
        # 1 where the answer's probability is over the threshold, 0 where not, NaN where unknown.
        self._sure_N = torch.zeros(num_photos, dtype=torch.float32, device=device)

    def add(self, logits_NC: Tensor, labels_N: Tensor) -> None:
        """Take in the detached float32 logits of a batch."""
        place = slice(self.num_seen, self.num_seen + len(labels_N))
        of_truth = logits_NC.gather(1, labels_N[:, None])
        self._loss_N[place] = cross_entropy(logits_NC, labels_N, reduction="none")
        self._truth_N[place] = labels_N
        self._answer_N[place] = logits_NC.argmax(1)
        # Equal logits are ranked in the order of the classes, as `ranks_of_truth` does.
        earlier_NC = torch.arange(logits_NC.shape[1], device=labels_N.device) < labels_N[:, None]
        is_before_NC = (logits_NC > of_truth) | ((logits_NC == of_truth) & earlier_NC)
        self._rank_N[place] = is_before_NC.sum(1)
        self._sure_N[place] = (logits_NC.double().softmax(1).amax(1) > POSITIVE_ABOVE).float()
        self.num_seen = place.stop

    def scores(self, *, num_classes: int) -> dict[str, float]:
        """Return what `SCORES` names, of the photos seen so far."""
        seen = slice(self.num_seen)
        truth_N, answer_N, rank_N = (
            tensor[seen].cpu().numpy() for tensor in (self._truth_N, self._answer_N, self._rank_N)
        )
        losses_N, sure_N = (
            tensor[seen].cpu().double().numpy() for tensor in (self._loss_N, self._sure_N)
        )
        return _scores(losses_N, truth_N, answer_N, rank_N, sure_N, num_classes=num_classes)

    def tensors(self) -> dict[str, Tensor]:
        """Return what `load` takes, for a checkpoint."""
        return {
            "loss": self._loss_N,
            "truth": self._truth_N,
            "answer": self._answer_N,
            "rank": self._rank_N,
            "sure": self._sure_N,
        }

    def load(self, tensors: Mapping[str, Tensor], *, num_seen: int) -> None:
        """Go on from where another tally stood; what one of an older Fieldmark lacks is unknown."""
        for name, own in self.tensors().items():
            if name == "sure" and name not in tensors:
                own[:num_seen] = math.nan
            else:
                own.copy_(tensors[name])
        self.num_seen = num_seen


def scores_of_logits(
    logits_NC: NDArray[np.float32], labels_N: NDArray[np.int64], *, num_classes: int
) -> dict[str, float]:
    """Return the same scores of the logits of a whole split."""
    return _scores(
        negative_log_likelihood(logits_NC, labels_N),
        labels_N,
        logits_NC.argmax(axis=1),
        ranks_of_truth(logits_NC, labels_N),
        (softmax(logits_NC).max(axis=1) > POSITIVE_ABOVE).astype(np.float64),
        num_classes=num_classes,
    )


def no_scores() -> dict[str, float]:
    """Return the scores of a split without photos, or that nobody looks at: all NaN."""
    return dict.fromkeys(SCORES, math.nan)


def _scores(
    losses_N: NDArray[np.float64],
    truth_N: NDArray[np.int64],
    answer_N: NDArray[np.int64],
    rank_N: NDArray[np.int64],
    sure_N: NDArray[np.float64],
    *,
    num_classes: int,
) -> dict[str, float]:
    if not len(truth_N):
        return no_scores()
    counts = count_classes(truth_N, answer_N, num_classes=num_classes)
    # Probabilities sum to 1, so the only one of a photo that can be over a half is its answer's.
    num_sure, num_sure_and_right = sure_N.sum(), (sure_N * (truth_N == answer_N)).sum()
    values = (
        losses_N.mean(),
        (truth_N == answer_N).mean(),
        macro_average(precision(counts), counts),
        macro_average(recall(counts), counts),
        (rank_N < TOP_K).mean(),
        num_sure_and_right / num_sure if num_sure else 0.0,
        num_sure_and_right / len(truth_N),
    )
    return {name: float(value) for name, value in zip(SCORES, values, strict=True)}
