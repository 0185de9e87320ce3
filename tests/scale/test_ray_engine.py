"""Trials on Ray: the same results as in this process, whatever becomes of the workers."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fieldmark.base.errors import RecipeError, RunError
from fieldmark.scale.ray_engine import MISSING, Needs, RayEngine, Room, needs_of
from fieldmark.studies.engine import LocalEngine
from fieldmark.studies.store import read_trials
from fieldmark.studies.trials import Trial, TrialEnd, TrialResult
from fieldmark.studying import call

TRIALS = [
    Trial(number=number, settings={"optim.lr": 10.0**-number}, seed=number % 3, kind="head")
    for number in range(20)
]


def test_without_ray_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(RecipeError, match=r"pip install 'fieldmark\[ray\]'"):
        RayEngine()
    assert "--engine" in MISSING


@pytest.mark.parametrize(
    ("address", "token", "mode"),
    [(None, True, None), ("10.0.0.9:6379", False, None), ("10.0.0.9:6379", True, "token")],
)
def test_a_token_is_shown_to_clusters_where_there_is_one(
    address: str | None,
    token: bool,
    mode: str | None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    pytest.importorskip("ray")
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.setenv(name, "")  # so that it is put back afterwards
        monkeypatch.delenv(name)
    if token:
        (tmp_path / ".ray").mkdir()
        (tmp_path / ".ray" / "auth_token").touch()
    RayEngine(address=address)
    assert os.environ.get("RAY_AUTH_MODE") == mode
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"


@pytest.mark.parametrize(
    ("kind", "threads", "room", "needs"),
    [
        ("head", 8, Room(cpus=16, most_cpus=8, gpus=2), Needs(cpus=1)),
        ("network", 8, Room(cpus=16, most_cpus=16, gpus=0), Needs(cpus=8)),
        ("network", 8, Room(cpus=16, most_cpus=4, gpus=3), Needs(cpus=4, gpus=1)),
    ],
)
def test_a_trial_takes_what_it_needs_and_no_more_than_a_machine_has(
    kind: Any, threads: int, room: Room, needs: Needs
) -> None:
    trial = Trial(number=0, settings={}, seed=0, kind=kind)
    assert needs_of(trial, threads=threads, room=room) == needs


@pytest.fixture(scope="module")
def ray_here() -> Iterator[None]:
    """Ray with two cores on this machine, which the engines of the tests then use."""
    ray = pytest.importorskip("ray")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
        yield
        ray.shutdown()


def results_of(engine: Any, trials: list[Trial], work: Any) -> dict[int, TrialEnd]:
    ends: dict[int, TrialEnd] = {}

    def on_done(trial: Trial, end: TrialEnd) -> None:
        assert trial.number not in ends
        ends[trial.number] = end

    engine.run(iter(trials), work, on_done)
    return ends


def make_work(folder: Path, *, deaths: dict[int, int]) -> Callable[[Trial], TrialEnd]:
    """Return work whose worker is killed at some trials, so many times each."""

    def work(trial: Trial) -> TrialEnd:
        import os
        import signal

        begun = folder / f"{trial.number}-{os.getpid()}"
        times = len(list(folder.glob(f"{trial.number}-*")))
        begun.touch()
        if times < deaths.get(trial.number, 0):
            os.kill(os.getpid(), signal.SIGKILL)
        value = 1 / (1 + trial.number + trial.seed)
        result = TrialResult(
            num_validation=10,
            val_loss=value,
            val_accuracy=1 - value,
            train_loss=value,
            train_accuracy=1.0,
            curve=(),
            num_epochs=0,
            seconds=0.0,
        )
        return TrialEnd(status="finished", result=result)

    return work


@pytest.mark.usefixtures("ray_here")
def test_all_of_twenty_trials_complete_though_three_workers_are_killed(tmp_path: Path) -> None:
    (tmp_path / "local").mkdir()
    (tmp_path / "ray").mkdir()
    ends = results_of(RayEngine(), TRIALS, make_work(tmp_path / "ray", deaths={3: 1, 11: 2}))
    plain = results_of(LocalEngine(), TRIALS, make_work(tmp_path / "local", deaths={}))
    assert ends == plain
    assert len(list((tmp_path / "ray").iterdir())) == 23


@pytest.mark.usefixtures("ray_here")
def test_a_trial_whose_workers_always_die_fails_and_the_others_go_on(tmp_path: Path) -> None:
    ends = results_of(RayEngine(), TRIALS[:3], make_work(tmp_path, deaths={1: 99}))
    assert [ends[number].status for number in range(3)] == ["finished", "failed", "finished"]
    assert ends[1].error == "its worker died 3 times, perhaps for want of memory"


@pytest.mark.usefixtures("ray_here")
def test_what_a_worker_cannot_run_is_told(tmp_path: Path) -> None:
    def work(_: Trial) -> TrialEnd:
        raise ModuleNotFoundError("No module named 'fieldmark'")

    (end,) = results_of(RayEngine(), TRIALS[:1], work).values()
    assert end.status == "failed"
    assert end.error is not None
    assert "its worker could not run it: No module named 'fieldmark'" in end.error


@pytest.mark.usefixtures("ray_here")
def test_a_trial_is_taken_only_once_there_is_a_core_for_it(tmp_path: Path) -> None:
    taken: list[int] = []
    seen: list[int] = []

    def trials() -> Iterator[Trial]:
        for trial in TRIALS[:8]:
            taken.append(trial.number)
            yield trial

    RayEngine().run(
        trials(), make_work(tmp_path, deaths={}), lambda *_: seen.append(len(taken) - len(seen))
    )
    assert len(seen) == 8
    assert max(seen) <= 2


@pytest.mark.usefixtures("ray_here")
def test_a_study_on_ray_has_the_results_of_one_on_this_machine(
    photos: Path, weights: Path, tmp_path: Path
) -> None:
    trials = {}
    for engine in ("local", "ray"):
        done = call.study(
            photos,
            vary=["optim.lr=1e-3,1e-2", "train.label_smoothing=0.0,0.1"],
            seeds=2,
            overrides=["train.epochs=3", "train.precision=float32"],
            weights=str(weights),
            out=tmp_path / engine,
            engine=engine,
            final=False,
        )
        trials[engine] = [without_time(trial) for trial in read_trials(done.path / "trials.sqlite")]
    assert len(trials["ray"]) == 8
    assert trials["ray"] == trials["local"]


def without_time(trial: Trial) -> dict[str, Any]:
    content = trial.to_json()
    assert content["result"].pop("seconds") > 0
    return content


def test_a_cluster_that_is_not_there_is_named_with_what_to_look_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ray = pytest.importorskip("ray")

    def init(**_: Any) -> None:
        raise ConnectionError("Failed to connect.")

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with pytest.raises(RunError, match=r"cluster at 10\.0\.0\.9:6379 .*RAY_AUTH_TOKEN"):
        RayEngine(address="10.0.0.9:6379").run([], lambda _: TrialEnd(status="failed"), print)
