"""The training loop: all weights trained on pixels held in memory.

In: a classifier, the pixels and labels of the train and validation splits. Out: the trained
classifier and one `Epoch` row an epoch. Each batch is augmented as a whole on tensors.
Not covered: the test split, which the loop never sees; optimizers (see `optim`).
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from fieldmark.base.errors import DataError, RecipeError
from fieldmark.data.augment import AugmentConfig, augment
from fieldmark.evaluation.metrics import (
    count_classes,
    macro_average,
    negative_log_likelihood,
    precision,
    ranks_of_truth,
    recall,
)
from fieldmark.models.classifier import Classifier
from fieldmark.models.inference import Predictor
from fieldmark.models.randomness import seeded
from fieldmark.training.optim import (
    OptimConfig,
    build_optimizer,
    learning_rate,
    set_learning_rate,
)

TOP_K = 5
VALIDATED = ("val_loss", "val_accuracy", "val_precision", "val_recall", "val_top_k")

# Legend for shape suffixes: M photos in store, N photos of a split, C classes; NHWC and NCHW
# images of 3 channels.


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """The recipe's `[train]` section."""

    strategy: str = "all"
    """"probe": frozen backbone and a linear head; "all": every weight trained."""
    epochs: int = 10
    """Passes over the train split."""
    batch_size: int = 32
    """Photos a step."""
    label_smoothing: float = 0.1
    """How much of each label is spread over all classes (Szegedy et al. 2016)."""
    precision: str = "auto"
    """"auto", "float32" or "bfloat16"."""
    seed: int = 0
    """Seed of all that is drawn: random starts, the order of photos, augmentation, dropout."""

    def __post_init__(self) -> None:
        """Check ranges."""
        if self.strategy not in ("probe", "all"):
            raise RecipeError(f"train.strategy is '{self.strategy}'; allowed: probe, all.")
        if not 1 <= self.epochs <= 10_000:
            raise RecipeError(f"train.epochs is {self.epochs}; allowed: 1 to 10000.")
        if not 2 <= self.batch_size <= 65_536:
            raise RecipeError(f"train.batch_size is {self.batch_size}; allowed: 2 to 65536.")
        if not 0 <= self.label_smoothing < 1:
            raise RecipeError(
                f"train.label_smoothing is {self.label_smoothing}; allowed: 0 to below 1."
            )
        if self.precision not in ("auto", "float32", "bfloat16"):
            raise RecipeError(
                f"train.precision is '{self.precision}'; allowed: auto, float32, bfloat16."
            )
        if not 0 <= self.seed < 2**63:
            raise RecipeError(f"train.seed is {self.seed}; allowed: 0 to below 2 to the power 63.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Photos:
    """One split: rows_N are its positions in pixels_MHWC (uint8), labels_N its class indices."""

    pixels_MHWC: NDArray[np.uint8]
    rows_N: NDArray[np.int64]
    labels_N: NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """A row of `history.csv`; losses are mean natural-log cross-entropies."""

    epoch: int
    lr: float
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float
    val_precision: float
    val_recall: float
    val_top_k: float
    seconds: float
    images_per_second: float


def fit(
    classifier: Classifier,
    *,
    train: Photos,
    validation: Photos,
    config: TrainConfig,
    optim: OptimConfig,
    augmentation: AugmentConfig,
    device: torch.device,
    autocast: torch.dtype | None,
    on_batch: Callable[[int], None],
    on_epoch: Callable[[Epoch], None],
) -> Sequence[Epoch]:
    """Train every weight of `classifier` in place; return the history.

    `autocast` is the dtype of the forward pass, or None for float32 throughout. `on_batch` gets
    the number of photos done. The order of photos, the augmentation and dropout derive from
    `config.seed` alone. Without validation photos the history has NaN for their figures.

    Raises:
        DataError: there are fewer than two photos to train on.
        RecipeError: the loss became infinite or not a number; the message says what to lower.
    """
    _require_two(train)
    network = classifier.network.to(device).to(memory_format=torch.channels_last)
    loop = _Loop(
        classifier=classifier,
        optimizer=build_optimizer(network.extractor, network.head, config=optim),
        config=config,
        optim=optim,
        augmentation=augmentation,
        device=device,
        autocast=autocast,
        generator=torch.Generator().manual_seed(config.seed),
        on_batch=on_batch,
    )
    history: list[Epoch] = []
    with seeded(config.seed, device=device):
        for number in range(1, config.epochs + 1):
            history.append(loop.epoch(number, train=train, validation=validation))
            on_epoch(history[-1])
    network.eval()
    return history


def num_steps(num_photos: int, *, batch_size: int) -> int:
    """Return the number of steps of an epoch.

    Photos are shared out evenly, so that no batch is a remainder of one, on which batch
    normalisation would have nothing to average. Where batches of two do not come out even, one
    holds three.
    """
    return max(1, min(math.ceil(num_photos / batch_size), num_photos // 2))


def _require_two(train: Photos) -> None:
    if len(train.labels_N) < 2:
        raise DataError(
            f"The train split has {len(train.labels_N)} photos; training every weight takes at "
            "least 2, since batch normalisation averages over photos. Add photos."
        )


@dataclass(slots=True, kw_only=True)
class _Loop:
    classifier: Classifier
    optimizer: torch.optim.Optimizer
    config: TrainConfig
    optim: OptimConfig
    augmentation: AugmentConfig
    device: torch.device
    autocast: torch.dtype | None
    generator: torch.Generator
    on_batch: Callable[[int], None]

    def epoch(self, number: int, *, train: Photos, validation: Photos) -> Epoch:
        began_s = time.perf_counter()
        lr, train_loss, train_accuracy = self._train(number, train)
        if not math.isfinite(train_loss):
            raise self._diverged(number, train_loss)
        seconds = max(time.perf_counter() - began_s, 1e-9)
        return Epoch(
            epoch=number,
            lr=lr,
            train_loss=train_loss,
            train_accuracy=train_accuracy,
            seconds=seconds,
            images_per_second=len(train.labels_N) / seconds,
            **self._validate(number, validation),
        )

    def _train(self, number: int, photos: Photos) -> tuple[float, float, float]:
        """Pass once over the photos; return the last rate, the mean loss and the accuracy."""
        num_photos = len(photos.labels_N)
        order_N = torch.randperm(num_photos, generator=self.generator).numpy()
        steps = num_steps(num_photos, batch_size=self.config.batch_size)
        loss_sum = torch.zeros((), device=self.device)
        num_right = torch.zeros((), device=self.device)
        self.classifier.network.train()
        for index, chosen in enumerate(np.array_split(order_N, steps)):
            lr = learning_rate(
                (number - 1) * steps + index,
                config=self.optim,
                steps_per_epoch=steps,
                num_epochs=self.config.epochs,
            )
            logits_NC, labels_N = self._step(photos, chosen, lr=lr)
            loss_sum += cross_entropy(logits_NC, labels_N, reduction="sum")
            num_right += (logits_NC.argmax(1) == labels_N).sum()
            self.on_batch(len(chosen))
        return lr, float(loss_sum) / num_photos, float(num_right) / num_photos

    def _step(
        self, photos: Photos, chosen: NDArray[np.int64], *, lr: float
    ) -> tuple[Tensor, Tensor]:
        """Take one step; return the detached float32 logits_NC and labels_N of its batch."""
        images_NCHW, labels_N = self._batch(photos, chosen)
        with torch.autocast(
            self.device.type, dtype=self.autocast, enabled=self.autocast is not None
        ):
            logits_NC = self.classifier.network(images_NCHW)
        logits_NC = logits_NC.float()
        loss = cross_entropy(logits_NC, labels_N, label_smoothing=self.config.label_smoothing)
        set_learning_rate(self.optimizer, lr)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return logits_NC.detach(), labels_N

    def _batch(self, photos: Photos, chosen: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        # A permuted NHWC array already is channels_last in memory.
        pixels_NCHW = torch.from_numpy(photos.pixels_MHWC[photos.rows_N[chosen]]).permute(
            0, 3, 1, 2
        )
        labels_N = torch.from_numpy(photos.labels_N[chosen]).to(self.device)
        augmented = augment(pixels_NCHW.to(self.device), self.augmentation, self.generator)
        return self.classifier.preprocess.normalise(augmented, dtype=torch.float32), labels_N

    def _validate(self, number: int, photos: Photos) -> dict[str, float]:
        """Return the fields of `Epoch` that come from the validation photos."""
        predictor = Predictor(self.classifier, device=self.device)
        logits_NC = predictor.logits(photos.pixels_MHWC, rows_N=photos.rows_N)
        if not len(logits_NC):
            return dict.fromkeys(VALIDATED, math.nan)
        if not np.isfinite(logits_NC).all():
            raise self._diverged(number, math.nan)
        labels_N = photos.labels_N
        num_classes = len(self.classifier.classes)
        ranks_N = ranks_of_truth(logits_NC, labels_N)
        counts = count_classes(labels_N, logits_NC.argmax(axis=1), num_classes=num_classes)
        loss = negative_log_likelihood(logits_NC, labels_N).mean()
        values = (
            loss,
            (ranks_N == 0).mean(),
            macro_average(precision(counts), counts),
            macro_average(recall(counts), counts),
            (ranks_N < TOP_K).mean(),
        )
        return {name: float(value) for name, value in zip(VALIDATED, values, strict=True)}

    def _diverged(self, number: int, loss: float) -> RecipeError:
        return RecipeError(
            f"Training diverged in epoch {number}: the loss is {loss}. "
            f"Lower the learning rate, for instance --set optim.lr={self.optim.lr / 10:g}."
        )
