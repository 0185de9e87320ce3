"""A step does what it says from its place alone, and to the same effect in shares of a batch."""

import math
import weakref
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from fieldmark.base.errors import RecipeError
from fieldmark.data.augment import AugmentConfig
from fieldmark.models.classifier import Classifier
from fieldmark.models.freezing import set_training
from fieldmark.training.balance import class_weights
from fieldmark.training.batches import Batch, Batches, Photos
from fieldmark.training.course import Course, Pace, Settled
from fieldmark.training.optim import OptimConfig
from fieldmark.training.preparation import new_batches, new_state, new_stepper
from fieldmark.training.schedule import learning_rate, momentum
from fieldmark.training.steps import DivergedError, Stepper

LR = 3e-3
MakeStepper = Callable[..., tuple[Stepper, Batches]]


@pytest.fixture
def make_stepper(
    make_classifier: Callable[..., Classifier],
    make_photos: Callable[..., tuple[NDArray[np.uint8], NDArray[np.int64]]],
    make_course: Callable[..., Course],
    of_rows: Callable[..., Photos],
) -> MakeStepper:
    """Return a function that gives a tiny network's stepper, in training mode, and its batches."""

    def make(
        *,
        num_train: int = 24,
        pace: Pace | None = None,
        args: dict[str, Any] | None = None,
        notes: list[str] | None = None,
        **asked: Any,
    ) -> tuple[Stepper, Batches]:
        classifier = make_classifier(**(args or {}))
        course = make_course(classifier, **asked)
        pixels, labels = make_photos(num_train, noise=80.0)
        labels = np.where(np.arange(num_train) % 6 == 5, 0, labels)  # classes of unequal size
        train = of_rows((pixels, labels), range(num_train))
        batches = new_batches(classifier, train, course)
        settled = Settled(pace=pace or Pace(), lr=LR, num_epochs=course.config.epochs)
        state = new_state(classifier, batches, course, settled)
        set_training(classifier.network, batch_norm=course.batch_norm, frozen=course.frozen)
        told: list[str] = [] if notes is None else notes
        return new_stepper(state, batches, course, on_note=told.append), batches

    return make


def first(batches: Batches) -> Batch:
    return next(batches.epoch(1))


def gradients_of(stepper: Stepper) -> dict[str, Tensor]:
    named = stepper.network.named_parameters()
    return {name: value.grad.clone() for name, value in named if value.grad is not None}


def weights_of(stepper: Stepper) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in stepper.network.state_dict().items()}


def require_close(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    """Compare gradients, each within rounding of the largest of its tensor."""
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert (found[name] - value).abs().max() <= 2e-4 * value.abs().max() + 1e-7, name


# The loss


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("weighting", ["none", "balanced"])
def test_the_gradients_are_those_of_pytorchs_weighted_smoothed_loss(
    weighting: str, smoothing: float, make_stepper: MakeStepper
) -> None:
    stepper, batches = make_stepper(class_weights=weighting, label_smoothing=smoothing)
    batch = first(batches)
    logits_NC, loss = stepper.gradients(batch, epoch=1, index=0)
    found = gradients_of(stepper)

    stepper.network.zero_grad()
    weight_C = torch.from_numpy(class_weights(batches.labels_N, num_classes=3))
    expected_NC = stepper.network(batch.images_NCHW)
    expected = cross_entropy(
        expected_NC,
        batch.labels_N,
        weight=weight_C if weighting == "balanced" else None,
        label_smoothing=smoothing,
    )
    expected.backward()  # type: ignore[no-untyped-call]
    assert float(loss) == pytest.approx(float(expected.detach()), rel=1e-5)
    torch.testing.assert_close(logits_NC, expected_NC.detach())
    require_close(found, gradients_of(stepper))
    assert not logits_NC.requires_grad


def test_mixed_photos_count_for_both_their_classes(make_stepper: MakeStepper) -> None:
    stepper, batches = make_stepper(augmentation=AugmentConfig(policy="none", mixup=1.0))
    batch = first(batches)
    assert bool(((batch.targets_NC > 0.01).sum(1) == 2).any())
    logits_NC, loss = stepper.gradients(batch, epoch=1, index=0)
    by_hand = -(batch.targets_NC * logits_NC.log_softmax(1)).sum(1).mean()
    assert float(loss) == pytest.approx(float(by_hand), rel=1e-5)


def test_in_bfloat16_the_forward_pass_rounds_and_the_gradients_are_float32(
    make_stepper: MakeStepper,
) -> None:
    plain, batches = make_stepper()
    rounded, _ = make_stepper(pace=Pace(precision="bfloat16"))
    results = [each.gradients(first(batches), epoch=1, index=0)[0] for each in (plain, rounded)]
    assert results[1].dtype == torch.float32
    assert torch.equal(results[1], results[1].bfloat16().float())
    assert not torch.equal(results[0], results[0].bfloat16().float())
    assert {value.dtype for value in gradients_of(rounded).values()} == {torch.float32}


# The step


def test_a_step_takes_its_rate_and_momentum_from_its_place(make_stepper: MakeStepper) -> None:
    optim = OptimConfig(name="sgd", schedule="onecycle", head_lr_factor=4.0)
    stepper, batches = make_stepper(optim=optim)
    batch = first(batches)
    for epoch, index in ((2, 1), (1, 0), (1, 2)):
        _, lr = stepper.step(batch, epoch=epoch, index=index)
        place, course = 3 * (epoch - 1) + index, {"steps_per_epoch": 3, "num_epochs": 2}
        assert lr == learning_rate(place, config=optim, lr=LR, **course)
        groups = stepper.optimizer.param_groups
        assert {group["lr"] for group in groups} == {lr, 4 * lr}
        assert {group["momentum"] for group in groups} == {momentum(place, config=optim, **course)}


def test_a_step_is_the_same_whatever_was_drawn_before(make_stepper: MakeStepper) -> None:
    ends = []
    for draws in (0, 3):
        stepper, batches = make_stepper(args={"drop_rate": 0.5, "drop_path_rate": 0.3})
        torch.rand(draws)
        with torch.random.fork_rng(devices=[]):
            stepper.step(first(batches), epoch=1, index=0)
        ends.append(weights_of(stepper))
    assert all(torch.equal(value, ends[1][name]) for name, value in ends[0].items())


@pytest.mark.parametrize("other", [{"epoch": 2, "index": 0}, {"epoch": 1, "index": 1}])
def test_dropout_differs_from_step_to_step(
    other: dict[str, int], make_stepper: MakeStepper
) -> None:
    stepper, batches = make_stepper(args={"drop_rate": 0.5})
    with torch.random.fork_rng(devices=[]):
        one, _ = stepper.gradients(first(batches), epoch=1, index=0)
        two, _ = stepper.gradients(first(batches), **other)
    assert not torch.equal(one, two)


def test_gradients_over_the_limit_are_scaled_down_to_it(make_stepper: MakeStepper) -> None:
    stepper, batches = make_stepper(optim=OptimConfig(clip_norm=0.01))
    stepper.step(first(batches), epoch=1, index=0)
    norms = torch.stack([value.norm() for value in gradients_of(stepper).values()])
    assert float(norms.norm()) == pytest.approx(0.01, rel=1e-3)
    free, _ = make_stepper()
    free.step(first(batches), epoch=1, index=0)
    assert float(torch.stack([v.norm() for v in gradients_of(free).values()]).norm()) > 0.02


def test_the_average_moves_with_each_step(make_stepper: MakeStepper) -> None:
    stepper, batches = make_stepper(ema=0.5)
    assert stepper.ema is not None
    before = weights_of(stepper)["head.weight"]
    stepper.step(first(batches), epoch=1, index=2)
    now = stepper.network.head.weight.detach()
    kept = 3 / 12  # (1 + step) / (10 + step), at first below the decay
    expected = kept * before + (1 - kept) * now
    torch.testing.assert_close(stepper.ema.tensors()["head.weight"], expected)


# Too little memory


@pytest.mark.parametrize("weighting", ["none", "balanced"])
@pytest.mark.parametrize("limit", [2, 3, 5])
def test_shares_of_a_batch_give_its_gradients_where_norms_are_frozen(
    limit: int, weighting: str, make_stepper: MakeStepper, limit_memory: Callable[[int], list[int]]
) -> None:
    asked: dict[str, Any] = {"batch_norm": "frozen", "class_weights": weighting}
    whole, batches = make_stepper(**asked)
    expected_NC, expected_loss = whole.gradients(first(batches), epoch=1, index=0)
    notes: list[str] = []
    stepper, _ = make_stepper(**asked, notes=notes)
    tried = limit_memory(limit)
    logits_NC, lr = stepper.step(first(batches), epoch=1, index=0)
    assert lr > 0
    torch.testing.assert_close(logits_NC, expected_NC)
    require_close(gradients_of(stepper), gradients_of(whole))
    halves = {2: 2, 3: 2, 5: 4}[limit]
    assert stepper.micro_batch == halves
    assert tried[-8 // halves :] == [halves] * (8 // halves)
    assert notes[-1] == (
        f"The GPU's memory does not hold a batch of 8: it is computed {halves} photos at a time, "
        "their gradients added up."
    )
    # The next step begins with what fits.
    del tried[:]
    _, loss = stepper.gradients(first(batches), epoch=1, index=1)
    assert max(tried) <= limit
    assert math.isfinite(float(loss))
    assert float(expected_loss) > 0


def test_a_note_says_that_norms_of_a_share_are_not_those_of_the_batch(
    make_stepper: MakeStepper, limit_memory: Callable[[int], list[int]]
) -> None:
    notes: list[str] = []
    stepper, batches = make_stepper(notes=notes)
    limit_memory(4)
    stepper.step(first(batches), epoch=1, index=0)
    (note,) = notes
    assert "4 photos at a time" in note
    assert note.endswith("Batch normalisation averages over fewer photos that way.")


@pytest.mark.parametrize(("num_train", "batch_size"), [(3, 2), (5, 2), (5, 5), (7, 7), (11, 11)])
def test_no_share_is_of_a_single_photo(
    num_train: int,
    batch_size: int,
    make_stepper: MakeStepper,
    limit_memory: Callable[[int], list[int]],
) -> None:
    """On which batch normalisation, whose last maps are of one pixel, would have no spread."""
    stepper, batches = make_stepper(num_train=num_train, batch_size=batch_size)
    tried = limit_memory(max(3, batch_size // 2))
    for index, batch in enumerate(batches.epoch(1)):
        stepper.step(batch, epoch=1, index=index)
    assert min(tried) >= 2


def test_where_not_even_two_photos_fit_it_says_what_to_change(
    make_stepper: MakeStepper, limit_memory: Callable[[int], list[int]]
) -> None:
    stepper, batches = make_stepper(batch_size=32, num_train=8)
    tried = limit_memory(1)
    with pytest.raises(RecipeError, match=r"^Not even 2 photos .*out of memory.*data\.size_px"):
        stepper.step(first(batches), epoch=1, index=0)
    assert tried == [8, 4, 2]
    stepper, batches = make_stepper(batch_size=32, num_train=2)
    with pytest.raises(RecipeError, match=r"^Not even 2 photos "):
        stepper.step(first(batches), epoch=1, index=0)


def test_an_attempt_that_failed_leaves_no_gradients_behind(
    make_stepper: MakeStepper, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory runs out in the second share, when the first has left its gradients already."""
    whole, batches = make_stepper(batch_norm="frozen")
    whole.gradients(first(batches), epoch=1, index=0)
    stepper, _ = make_stepper(batch_norm="frozen")
    stepper.micro_batch = 4
    network, calls = stepper.network, []

    def forward(images_NCHW: Tensor) -> Tensor:
        calls.append(len(images_NCHW))
        if len(calls) == 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return network.forward(images_NCHW)

    stepper.forward = forward
    stepper.step(first(batches), epoch=1, index=0)
    assert calls == [4, 4, 2, 2, 2, 2]
    require_close(gradients_of(stepper), gradients_of(whole))


def test_what_took_the_memory_is_let_go_before_the_next_attempt(make_stepper: MakeStepper) -> None:
    stepper, batches = make_stepper()
    network, made = stepper.network, []
    alive: list[bool] = []

    def forward(images_NCHW: Tensor) -> Tensor:
        activations = images_NCHW * 2
        made.append(weakref.ref(activations))
        if len(images_NCHW) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return network.forward(images_NCHW)

    stepper.forward = forward
    stepper.on_note = lambda _: alive.extend(ref() is not None for ref in made)
    stepper.step(first(batches), epoch=1, index=0)
    assert alive == [False]


def short_of_memory(
    monkeypatch: pytest.MonkeyPatch, stepper: Stepper, *, failures: int
) -> list[int]:
    """Let the optimizer run out of memory so many times, halfway into what it first takes."""
    met: list[int] = []
    step = stepper.optimizer.step

    def scarce() -> None:
        if len(met) < failures:
            met.append(len(stepper.optimizer.state))
            stepper.optimizer.state[next(stepper.network.parameters())]["step"] = torch.tensor(0.0)
            raise torch.OutOfMemoryError("CUDA out of memory")
        step()

    monkeypatch.setattr(stepper.optimizer, "step", scarce)
    return met


def test_an_optimizer_short_of_memory_at_its_first_step_begins_it_anew(
    make_stepper: MakeStepper, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, batches = make_stepper()
    plain.step(first(batches), epoch=1, index=0)
    stepper, batches = make_stepper()
    met = short_of_memory(monkeypatch, stepper, failures=1)
    stepper.step(first(batches), epoch=1, index=0)
    assert met == [0]
    expected, found = weights_of(plain), weights_of(stepper)
    assert all(torch.equal(found[name], value) for name, value in expected.items())


@pytest.mark.parametrize(("step", "failures"), [(1, 2), (2, 1)])
def test_an_optimizer_without_memory_is_an_error_that_says_what_to_do(
    make_stepper: MakeStepper, monkeypatch: pytest.MonkeyPatch, step: int, failures: int
) -> None:
    stepper, batches = make_stepper()
    batch = first(batches)
    if step == 2:
        stepper.step(batch, epoch=1, index=0)
    short_of_memory(monkeypatch, stepper, failures=failures)
    with pytest.raises(RecipeError, match=r"optim\.name to sgd.*--resume"):
        stepper.step(batch, epoch=1, index=step - 1)


# Losses that are not a number


def test_a_loss_that_is_not_finite_names_its_photos_before_the_weights_move(
    make_stepper: MakeStepper,
) -> None:
    stepper, batches = make_stepper()
    with torch.no_grad():
        stepper.network.head.weight.fill_(math.inf)
    before, batch = weights_of(stepper), first(batches)
    with pytest.raises(DivergedError) as caught:
        stepper.step(batch, epoch=1, index=0)
    assert caught.value.members_N.tolist() == batch.members_N.tolist()
    assert not math.isfinite(caught.value.loss)
    now = weights_of(stepper)
    moved = {name for name in before if not torch.equal(before[name], now[name])}
    assert not {name for name in moved if "running" not in name and "num_batches" not in name}


def test_on_a_gpu_a_loss_is_looked_at_one_step_later(make_stepper: MakeStepper) -> None:
    """So that nothing waits for it; the photos named are those of the loss all the same."""
    stepper, batches = make_stepper()
    course = stepper.course
    bad, good, _ = batches.epoch(1)
    infinite = torch.full_like(bad.targets_NC, math.inf)
    loss = torch.tensor(math.inf)
    object.__setattr__(stepper, "course", replace(course, device=torch.device("cuda")))
    stepper._check(loss, bad, 0)
    with pytest.raises(DivergedError) as caught:
        stepper._check(infinite.sum(), good, 1)
    assert caught.value.members_N.tolist() == bad.members_N.tolist()
    assert caught.value.index == 0
    stepper, _ = make_stepper()
    object.__setattr__(stepper, "course", replace(course, device=torch.device("cuda")))
    stepper._check(loss, bad, 2)
    with pytest.raises(DivergedError) as caught:
        stepper.settle()
    assert caught.value.index == 2
    stepper.settle()  # it is told once


@pytest.mark.parametrize("spoiled", [math.nan, math.inf])
def test_weights_that_are_not_finite_are_seen_before_they_can_be_saved(
    spoiled: float, make_stepper: MakeStepper
) -> None:
    stepper, batches = make_stepper()
    batch = first(batches)
    stepper.step(batch, epoch=1, index=0)
    stepper.settle()
    stepper.step(batch, epoch=1, index=1)
    with torch.no_grad():
        stepper.network.get_parameter("extractor.backbone.conv1.weight")[0, 0, 0, 0] = spoiled
    with pytest.raises(DivergedError) as caught:
        stepper.settle()
    assert caught.value.members_N.tolist() == batch.members_N.tolist()
