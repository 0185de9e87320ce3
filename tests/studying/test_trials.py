"""What a trial does: a head, a probe on drawn photos, a network; and what goes wrong."""

import pickle
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fieldmark.base.errors import RecipeError
from fieldmark.base.progress import SilentProgress
from fieldmark.base.stopping import Stopped
from fieldmark.collect import Given
from fieldmark.studies.basis import Basis
from fieldmark.studies.plan import Asked, plan_study
from fieldmark.studies.record import StudyFolder
from fieldmark.studies.trials import EpochPoint, Trial
from fieldmark.studying import trials
from fieldmark.studying.estimate import example_trials, expected_words, seconds_expected
from fieldmark.studying.photos import needs_of, prepare
from fieldmark.studying.trials import Bench, run_trial, told_of

NETWORK = ("train.epochs=2", "train.batch_size=8", "train.precision=float32", "optim.lr=3e-3")
SPLIT = ("split.validation=0.25", "train.precision=float32")


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, photos: Path, weights: Path) -> Bench:
    """The materials of the tiny photos for heads and networks; read only but for checkpoints."""
    vary = ("train.strategy=head,probe,all", "optim.lr=1e-3,1e-2")
    asked = Asked(
        vary=vary,
        recipe="finetune",
        weights=str(weights),
        overrides=(*SPLIT, *NETWORK, "model.stages=0"),
    )
    plan = plan_study(asked)
    folder = StudyFolder(tmp_path_factory.mktemp("study"))
    prepare(
        photos,
        folder,
        needs=needs_of(plan.recipes),
        given=Given(),
        expected_digest=None,
        progress=SilentProgress(),
    )
    return Bench(work=folder.work, basis=plan.basis, is_bootstrapped=True)


def trial(strategy: str, *, seed: int = 0, **settings: Any) -> Trial:
    kind: Any = "network" if strategy == "all" else "head"
    named = {key.replace("__", "."): value for key, value in settings.items()}
    return Trial(number=seed, settings={"train.strategy": strategy, **named}, seed=seed, kind=kind)


def test_a_head_trial_has_a_point_for_each_epoch_and_the_figures_of_the_kept_one(
    bench: Bench,
) -> None:
    end = run_trial(trial("head", train__epochs=3), bench=bench)
    assert (end.status, end.error) == ("finished", None)
    assert end.result is not None
    assert [point.epoch for point in end.result.curve] == [1, 2, 3]
    assert end.result.val_loss == end.result.curve[-1].val_loss
    assert (end.result.num_epochs, end.result.num_validation) == (3, 12)


@pytest.mark.parametrize("strategy", ["head", "probe", "all"])
def test_the_same_trial_gives_the_same_and_another_seed_another(
    bench: Bench, strategy: str
) -> None:
    ends = [run_trial(trial(strategy, seed=seed), bench=bench) for seed in (1, 1, 2)]
    losses = [end.result.val_loss for end in ends if end.result]
    assert len(losses) == 3
    assert losses[0] == losses[1] != losses[2]


def test_a_probe_without_replicates_learns_from_all_photos(bench: Bench) -> None:
    once = replace(bench, is_bootstrapped=False)
    ends = [run_trial(trial("probe", seed=seed, probe__l2=0.1), bench=once) for seed in (1, 2)]
    losses = [end.result.val_loss for end in ends if end.result]
    assert losses[0] == losses[1]
    drawn = run_trial(trial("probe", seed=1, probe__l2=0.1), bench=bench)
    assert drawn.result is not None
    assert drawn.result.val_loss != losses[0]
    assert drawn.result.curve == ()


def test_a_bench_can_be_sent_to_another_process(bench: Bench) -> None:
    sent = pickle.loads(pickle.dumps(bench))
    first, second = (run_trial(trial("head"), bench=one) for one in (bench, sent))
    assert first.result is not None
    assert second.result is not None
    assert replace(first.result, seconds=0) == replace(second.result, seconds=0)


def test_a_network_trial_leaves_no_checkpoints(bench: Bench) -> None:
    end = run_trial(trial("all"), bench=bench)
    assert end.status == "finished"
    assert not list(bench.work.glob("trial-*"))


class _StopsAfter:
    """Told of epochs; at one of them somebody presses Ctrl-C."""

    def __init__(self, epoch: int) -> None:
        self.epoch, self.met = epoch, 0

    def __call__(self, _: Trial, curve: Sequence[EpochPoint], __: int) -> None:
        self.met = curve[-1].epoch
        if self.met == self.epoch:
            raise Stopped("interrupted from the keyboard")


def test_a_network_trial_that_was_stopped_goes_on_and_comes_to_the_same(bench: Bench) -> None:
    whole = run_trial(trial("all", train__epochs=3), bench=bench)
    often = replace(bench, basis=_with(bench.basis, "train.checkpoint_every_s=1e-9"))
    with pytest.raises(KeyboardInterrupt):
        run_trial(trial("all", train__epochs=3), bench=often, on_epoch=_StopsAfter(2))
    saved = often.saved(trial("all"))
    assert list(saved.glob("step-*"))
    seen: list[int] = []
    end = run_trial(
        trial("all", train__epochs=3),
        bench=often,
        on_epoch=lambda _, curve, __: seen.append(curve[-1].epoch),
    )
    assert seen[0] > 1
    assert whole.result is not None
    assert end.result is not None
    assert end.result.curve == whole.result.curve
    assert not saved.exists()


def _with(basis: Basis, assignment: str) -> Basis:
    from fieldmark.recipe import override

    return replace(basis, recipe=override(basis.recipe, [assignment]))


class _Hopeless:
    def is_hopeless(self, trial: Trial, curve: Sequence[EpochPoint], *, num_epochs: int) -> bool:
        return trial.seed == 0 and num_epochs == 9 and curve[-1].epoch == 2


@pytest.mark.parametrize("strategy", ["head", "all"])
def test_a_hopeless_trial_ends_with_what_it_had(bench: Bench, strategy: str) -> None:
    judged = replace(bench, verdict=_Hopeless())
    end = run_trial(trial(strategy, train__epochs=9), bench=judged)
    assert end.status == "pruned"
    assert end.result is not None
    assert (len(end.result.curve), end.result.num_epochs) == (2, 9)


def test_a_trial_that_diverges_has_failed_with_what_to_do(bench: Bench) -> None:
    steep: dict[str, Any] = {"optim__name": "sgd", "optim__lr": 9.9, "optim__momentum": 0.99}
    end = run_trial(trial("all", **steep, train__epochs=60), bench=bench)
    assert end.status == "failed"
    assert end.error
    assert "Lower the learning rate" in end.error
    assert "\n" not in end.error


def test_what_goes_wrong_in_a_trial_is_its_end_and_no_exception(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(trials, "train_head", fail)
    end = run_trial(trial("head"), bench=bench)
    assert (end.status, end.result, end.error) == ("failed", None, "out of memory")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (RecipeError("Lower the\nrate."), "Lower the rate."),
        (RuntimeError("CUDA out of memory. Tried"), "out of memory: CUDA out of memory. Tried"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you"), "out of memory: Default"),
        (ZeroDivisionError("by zero"), "ZeroDivisionError: by zero"),
    ],
)
def test_errors_are_told_in_a_line(error: Exception, told: str) -> None:
    assert told_of(error).startswith(told)


def test_how_long_trials_take_is_told_before_they_run(bench: Bench) -> None:
    trials = [trial("head", train__epochs=3), trial("head", train__epochs=9), trial("all")]
    expected = seconds_expected(trials, bench)
    assert set(expected) == {"head", "network"}
    assert all(0 < seconds < 60 for seconds in expected.values())
    # What is timed is an epoch, and those of all trials are counted.
    ratio = seconds_expected([trial("head", train__epochs=1200)], bench)["head"] / expected["head"]
    assert 10 < ratio < 1000


def test_of_probes_and_of_what_cannot_run_nothing_is_known_before(bench: Bench) -> None:
    assert seconds_expected([trial("probe")], bench) == {}
    unread = trial("head", data__size_px=48)  # of which the materials have no features
    assert seconds_expected([unread], bench) == {}


def test_a_search_is_estimated_by_settings_that_it_may_try() -> None:
    plan = plan_study(Asked(vary=("optim.lr=1e-5..1e-2:log",), search=20, seeds=2))
    examples = example_trials(plan)
    assert len(examples) == 40
    assert {one.kind for one in examples} == {"head"}


def test_the_time_is_told_for_each_kind(bench: Bench) -> None:
    plan = plan_study(Asked(vary=("optim.lr=1e-3,1e-2",)))
    trials = [trial("head"), trial("head"), trial("all")]
    assert expected_words({"head": 90.0}, trials, plan) == (
        "2 head trials: about 1 min 30 s; 1 network trial: the first will tell how long they take"
    )
    halved = plan_study(Asked(vary=("optim.lr=1e-3,1e-2",), halving=True))
    assert "less where trials end early" in expected_words({"head": 90.0}, trials, halved)
