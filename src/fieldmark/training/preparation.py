"""The parts of a training run, put together from what was settled.

In: a classifier, the photos to train on, a `Course` and what was `Settled`. Out: batches, the
state at the start, and what takes the steps.
"""

from collections.abc import Callable

import torch

from fieldmark.models.classifier import Classifier, Network
from fieldmark.training.balance import class_weights
from fieldmark.training.batches import Batches, Photos
from fieldmark.training.course import Course, Settled
from fieldmark.training.ema import Ema
from fieldmark.training.optim import build_optimizer
from fieldmark.training.state import TrainingState
from fieldmark.training.steps import Stepper
from fieldmark.training.tally import Tally


def new_batches(classifier: Classifier, train: Photos, course: Course) -> Batches:
    """Return the batches of a course."""
    return Batches(
        train,
        preprocess=classifier.preprocess,
        config=course.config,
        augmentation=course.augmentation,
        num_classes=len(classifier.classes),
        device=course.device,
    )


def new_state(
    classifier: Classifier, batches: Batches, course: Course, settled: Settled
) -> TrainingState:
    """Return the state before the first step; the network is moved to the device."""
    network = placed(classifier.network, course, settled)
    optimizer = build_optimizer(course.groups, network.head, config=course.optim, lr=settled.lr)
    return TrainingState(
        network=network,
        optimizer=optimizer,
        ema=Ema(network, decay=course.config.ema) if course.config.ema is not None else None,
        settled=settled,
        tally=Tally(batches.num_photos, device=course.device),
        steps_per_epoch=batches.num_steps,
        micro_batch=course.config.batch_size,
    )


def new_stepper(
    state: TrainingState,
    batches: Batches,
    course: Course,
    *,
    on_note: Callable[[str], None],
) -> Stepper:
    """Return what takes the steps from a state."""
    network = state.network
    compiled = state.settled.pace.compiled
    return Stepper(
        network=network,
        forward=torch.compile(network) if compiled else network,
        optimizer=state.optimizer,
        course=course,
        settled=state.settled,
        steps_per_epoch=batches.num_steps,
        class_weights_C=_class_weights(batches, course),
        ema=state.ema,
        on_note=on_note,
        micro_batch=state.micro_batch,
    )


def placed(network: Network, course: Course, settled: Settled) -> Network:
    """Return the network on the device of the course, laid out as its pace says."""
    network.to(course.device)
    return network.to(memory_format=settled.pace.memory_format)


def _class_weights(batches: Batches, course: Course) -> torch.Tensor | None:
    if course.config.class_weights == "none":
        return None
    weights_C = class_weights(batches.labels_N, num_classes=batches.num_classes)
    return torch.from_numpy(weights_C).to(course.device)
