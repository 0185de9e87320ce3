"""All that a training run carries from one step to the next, and its way to a checkpoint and back.

In: a network, its optimizer and its running average. Out: a `Checkpoint`, and the same state again.
Random draws are not part of it: they derive from the place in the run (see `seeding`).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from fieldmark.models.classifier import Network
from fieldmark.training.checkpoint import Checkpoint, joined
from fieldmark.training.course import Settled
from fieldmark.training.ema import Ema
from fieldmark.training.optimizer_state import optimizer_state, restore_optimizer
from fieldmark.training.tally import Epoch, Tally


@dataclass(slots=True, kw_only=True)
class Best:
    """The weights of the epoch with the lowest validation loss."""

    epoch: int = 0
    """0: none yet."""
    loss: float = math.inf
    tensors: dict[str, Tensor] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class TrainingState:
    """Where a run stands: in `epoch`, from 1, with `index` of its steps done."""

    network: Network
    optimizer: torch.optim.Optimizer
    ema: Ema | None
    settled: Settled
    tally: Tally
    """Of the present epoch."""
    steps_per_epoch: int
    epoch: int = 1
    index: int = 0
    seconds: float = 0.0
    """That the present epoch has trained so far."""
    waited_s: float = 0.0
    """Of these, spent waiting for batches."""
    spent_s: float = 0.0
    """On epochs so far, their scoring and saving included; not what was lost by a crash."""
    micro_batch: int = 0
    history: list[Epoch] = field(default_factory=list)
    best: Best = field(default_factory=Best)
    stopped_early: str | None = None
    """Why training ended before its last epoch."""

    @property
    def step(self) -> int:
        """Steps done in all."""
        return (self.epoch - 1) * self.steps_per_epoch + self.index

    @property
    def is_done(self) -> bool:
        """Whether no step is left to take."""
        return self.epoch > self.settled.num_epochs or self.stopped_early is not None

    def checkpoint(self) -> Checkpoint:
        """Return the state as it stands; tensors are not copied."""
        optimizer_tensors, optimizer_plain = optimizer_state(self.optimizer)
        tensors = joined(
            network=self.network.state_dict(),
            optimizer=optimizer_tensors,
            ema=self.ema.tensors() if self.ema else {},
            best=self.best.tensors,
            tally=self.tally.tensors(),
        )
        return Checkpoint(
            step=self.step,
            tensors=tensors,
            state={
                "settled": self.settled.to_json(),
                "epoch": self.epoch,
                "index": self.index,
                "seconds": self.seconds,
                "waited_s": self.waited_s,
                "spent_s": self.spent_s,
                "num_seen": self.tally.num_seen,
                "micro_batch": self.micro_batch,
                "history": [epoch.to_json() for epoch in self.history],
                "best_epoch": self.best.epoch,
                "best_loss": self.best.loss if self.best.epoch else None,
                "stopped_early": self.stopped_early,
                "optimizer": optimizer_plain,
            },
        )

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on from where a checkpoint of the same recipe and photos stands."""
        state = checkpoint.state
        self.network.load_state_dict(checkpoint.part("network"))
        restore_optimizer(self.optimizer, checkpoint.part("optimizer"), state["optimizer"])
        if self.ema is not None:
            self.ema.load(checkpoint.part("ema"))
        self.tally.load(checkpoint.part("tally"), num_seen=state["num_seen"])
        for name in ("epoch", "index", "seconds", "waited_s", "micro_batch", "stopped_early"):
            setattr(self, name, state[name])
        self.spent_s = state.get("spent_s", 0.0)  # older ones do not have it
        self.history = [Epoch.from_json(row) for row in state["history"]]
        if state["best_epoch"]:
            best = checkpoint.part("best")
            self.best = Best(epoch=state["best_epoch"], loss=state["best_loss"], tensors=best)

    def keep_if_best(self, tensors: Mapping[str, Tensor]) -> bool:
        """Remember weights whose epoch has the lowest validation loss so far; say whether."""
        last = self.history[-1]
        if not last.val_loss < self.best.loss:
            return False
        copies = {name: value.detach().clone() for name, value in tensors.items()}
        self.best = Best(epoch=last.epoch, loss=last.val_loss, tensors=copies)
        return True
