"""The training loop: the weights of a network moved step by step, and what becomes of them.

In: a classifier, the pixels and labels of the train and validation splits, a `Course`. Out: the
trained classifier and one `Epoch` row an epoch. A run that is stopped, or dies, goes on from its
last checkpoint as if nothing had been.
The test split is looked at only where it is given, for its curves: nothing is ever chosen by it.
Not covered: what a step does (`steps`).
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field

from fieldmark.base.errors import DataError, RecipeError
from fieldmark.base.stopping import Stop, Stopped, deferred, told_of
from fieldmark.models.classifier import Classifier
from fieldmark.models.freezing import set_training
from fieldmark.models.lowering import lowered
from fieldmark.models.randomness import seeded
from fieldmark.training.batches import Batch, Batches, Photos
from fieldmark.training.checkpoint import Checkpoint, Checkpoints
from fieldmark.training.course import Course, Settled, Unwatched, Watch
from fieldmark.training.patience import reason_of_time, reason_to_stop
from fieldmark.training.preparation import new_batches, new_state, new_stepper
from fieldmark.training.saving import Saver
from fieldmark.training.scoring import scores_of
from fieldmark.training.state import TrainingState
from fieldmark.training.steps import DivergedError, Stepper
from fieldmark.training.tally import Epoch, Tally

SCALARS_EVERY_S = 1.0
"""Between two figures of the loss for those who watch."""
NUM_NAMED = 64
"""Files of a batch that a message names; the others are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """How training went."""

    history: Sequence[Epoch]
    settled: Settled
    kept_epoch: int
    """Whose weights the classifier has."""
    stopped_early: str | None
    """Why there are fewer epochs than planned; None where there are not."""
    batch_norm: str
    """"frozen" or "batch"."""


def fit(
    classifier: Classifier,
    *,
    train: Photos,
    validation: Photos,
    course: Course,
    settled: Settled,
    test: Photos | None = None,
    begun: Checkpoint | None = None,
    checkpoints: Checkpoints | None = None,
    watch: Watch | None = None,
) -> Fitted:
    """Train `classifier` in place.

    What is drawn derives from `course.config.seed` alone. Without validation photos, or test
    photos to watch, the history has NaN for their figures.

    Args:
        classifier: its network is moved to the course's device.
        train: photos to learn from, two or more.
        validation: photos to watch, and to choose the epoch by where the recipe says so.
        course: what to do.
        settled: what was decided for it.
        test: photos that are scored after each epoch as those of validation are, and change
            nothing; None: none are.
        begun: where to go on from; None: at the start.
        checkpoints: where to save; None: nowhere.
        watch: who is told.

    Raises:
        DataError: there are fewer than two photos to train on.
        RecipeError: the loss became infinite or not a number; the message names the files of the
            batch and says what to lower. Or a GPU has too little memory for two photos.
        RunError: a checkpoint cannot be written.
        Stopped: somebody asked to stop; the state is saved.
    """
    _require_two(train)
    watch = watch or Unwatched()
    batches = new_batches(classifier, train, course)
    state = new_state(classifier, batches, course, settled)
    if begun is not None:
        state.restore(begun)
    loop = _Loop(
        classifier=classifier,
        train=train,
        validation=validation,
        test=test,
        course=course,
        batches=batches,
        state=state,
        stepper=new_stepper(state, batches, course, on_note=watch.note),
        saver=Saver(checkpoints, state, every_s=course.config.checkpoint_every_s, watch=watch),
        watch=watch,
    )
    loop.run(is_new=begun is None)
    return loop.finished()


class _AskedError(Exception):
    """Somebody asked to stop while an epoch was scored."""


@dataclass(slots=True, kw_only=True)
class _Loop:
    classifier: Classifier
    train: Photos
    validation: Photos
    test: Photos | None
    course: Course
    batches: Batches
    state: TrainingState
    stepper: Stepper
    saver: Saver
    watch: Watch
    _told_s: float = field(default_factory=time.monotonic)
    _told_photos: int = 0
    _counted_s: float = 0.0

    def run(self, *, is_new: bool) -> None:
        """Train until the last epoch or until there is reason to stop."""
        if is_new:
            self.saver.save()
        config, device, self._counted_s = self.course.config, self.course.device, time.monotonic()
        with seeded(config.seed, device=device), deferred() as stop, self.batches.running():
            while not self.state.is_done:
                try:
                    with self._training():
                        self._steps(stop)
                    self._close_epoch(stop)
                except DivergedError as error:
                    raise self._diverged(error) from error
                except _AskedError:
                    self._leave(stop)  # all steps of the epoch are done; its scoring begins anew
                if stop.asked:
                    self._leave(stop)
                if self.saver.is_due() or self.state.is_done:
                    self.saver.save()
        self.classifier.network.eval()

    def finished(self) -> Fitted:
        """Give the network the weights that are kept, and return how it went."""
        state, network = self.state, self.classifier.network
        last = state.history[-1]
        keeps_best = self.course.config.keeps_best and state.best.epoch
        if keeps_best:
            network.load_state_dict(state.best.tensors)
        elif state.ema is not None:
            network.load_state_dict(state.ema.tensors())
        return Fitted(
            history=state.history,
            settled=state.settled,
            kept_epoch=state.best.epoch if keeps_best else last.epoch,
            stopped_early=state.stopped_early,
            batch_norm=self.course.batch_norm,
        )

    @contextmanager
    def _training(self) -> Iterator[None]:
        network, course = self.classifier.network, self.course
        set_training(network, batch_norm=course.batch_norm, frozen=course.frozen)
        with lowered(network, wanted=self.state.settled.pace.lowered):
            yield

    def _steps(self, stop: Stop) -> None:
        """Take the steps of the present epoch that are left."""
        state = self.state
        began_s, before_s, waited_s = time.perf_counter(), state.seconds, state.waited_s
        already_s = self.batches.waited_s
        for batch in self.batches.epoch(state.epoch, start=state.index):
            logits_NC, lr = self.stepper.step(batch, epoch=state.epoch, index=state.index)
            state.tally.add(logits_NC, batch.labels_N)
            state.index += 1
            state.micro_batch = self.stepper.micro_batch
            state.seconds = before_s + time.perf_counter() - began_s
            state.waited_s = waited_s + self.batches.waited_s - already_s
            self._tell(batch, lr)
            self._count_time()
            if stop.asked:
                self._leave(stop)
            if self.saver.is_due():
                self.stepper.settle()
                saving_s = time.perf_counter()
                self.saver.save()
                began_s += time.perf_counter() - saving_s
        self.stepper.settle()

    def _leave(self, stop: Stop) -> None:
        self.stepper.settle()
        self.saver.save()
        raise Stopped(told_of(stop.signal or "SIGINT"))

    def _tell(self, batch: Batch, lr: float) -> None:
        num_photos = len(batch.labels_N)
        self.watch.batch(num_photos)
        self._told_photos += num_photos
        now_s = time.monotonic()
        if (passed_s := now_s - self._told_s) < SCALARS_EVERY_S:
            return
        scores = self.state.tally.scores(num_classes=len(self.classifier.classes))
        values = {
            "lr": lr,
            "train_loss": scores["loss"],
            "train_accuracy": scores["accuracy"],
            "images_per_second": self._told_photos / passed_s,
        }
        self.watch.scalars(self.state.step, values)
        self._told_s, self._told_photos = now_s, 0

    def _close_epoch(self, stop: Stop) -> None:
        """Score what is watched, write the row of the epoch, and begin the next."""
        state, began_s = self.state, time.monotonic()
        swapped = state.ema.swapped(self.classifier.network) if state.ema else nullcontext()
        with swapped:
            state.history.append(self._row(stop))
            if self.course.config.keeps_best:
                state.keep_if_best(self.classifier.network.state_dict())
        state.stopped_early = reason_to_stop(
            state.history,
            patience=self.course.config.patience,
            num_epochs=state.settled.num_epochs,
        )
        self._stop_in_time()
        state.epoch, state.index, state.seconds, state.waited_s = state.epoch + 1, 0, 0.0, 0.0
        state.tally = Tally(len(self.train.labels_N), device=self.course.device)
        self.watch.epoch(state.history, num_epochs=state.settled.num_epochs)
        self._told_s += time.monotonic() - began_s  # the speed told is that of training

    def _stop_in_time(self) -> None:
        """End training where another epoch would overrun the time budget, and say so."""
        self._count_time()
        state = self.state
        reason = reason_of_time(state.settled, state.history, spent_s=state.spent_s)
        if reason and not state.stopped_early:
            state.stopped_early = reason
            self.watch.note(f"{reason[:1].upper()}{reason[1:]}.")

    def _count_time(self) -> None:
        now_s = time.monotonic()
        self.state.spent_s += now_s - self._counted_s
        self._counted_s = now_s

    def _row(self, stop: Stop) -> Epoch:
        def leave_if_asked(_: int) -> None:
            if stop.asked:
                raise _AskedError

        state, num_classes = self.state, len(self.classifier.classes)
        passed = {"train": state.tally.scores(num_classes=num_classes)}
        watched = scores_of(
            self.classifier,
            {"val": self.validation, "test": self.test},
            device=self.course.device,
            last_step=state.index - 1,
            on_batch=leave_if_asked,
        )
        seconds = max(state.seconds, 1e-9)
        return Epoch(
            epoch=state.epoch,
            lr=self.stepper.rate_at(state.step - 1),
            seconds=seconds,
            images_per_second=state.tally.num_seen / seconds,
            data_wait_s=state.waited_s,
            **{
                f"{split}_{name}": value
                for split, scores in (passed | watched).items()
                for name, value in scores.items()
            },
        )

    def _diverged(self, error: DivergedError) -> RecipeError:
        files = [self.train.paths[member] for member in error.members_N if self.train.paths]
        of_batch = ""
        if files:
            more = f" and {len(files) - NUM_NAMED} more" if len(files) > NUM_NAMED else ""
            of_batch = f" The batch was of {', '.join(files[:NUM_NAMED])}{more}."
        lr = self.state.settled.lr
        return RecipeError(
            f"Training diverged in epoch {self.state.epoch}, step {error.index + 1}: the loss "
            f"is {error.loss}.{of_batch} Lower the learning rate, for instance --set "
            f"optim.lr={lr / 10:g}, or set optim.clip_norm=1.0."
        )


def _require_two(train: Photos) -> None:
    if len(train.labels_N) < 2:
        raise DataError(
            f"The train split has {len(train.labels_N)} photos; training the network takes at "
            "least 2, since batch normalisation averages over photos. Add photos."
        )
