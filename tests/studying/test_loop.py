"""The loop of trials: what is told, what is kept, and when."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fieldmark.recipe import Recipe
from fieldmark.studies.basis import Basis
from fieldmark.studies.engine import LocalEngine
from fieldmark.studies.schedule import Planned
from fieldmark.studies.store import SqliteTrials
from fieldmark.studies.trials import EpochPoint, Kind, Trial, TrialEnd, TrialResult
from fieldmark.studying import loop
from fieldmark.studying.loop import run_trials
from fieldmark.studying.trials import Bench


class Shown:
    """Progress that keeps everything."""

    def __init__(self) -> None:
        self.totals: list[int | None] = []
        self.details: list[str] = []
        self.notes: list[str] = []
        self.summary = ""

    def start(self, stage: str, *, total: int | None, unit: str) -> None:
        assert (stage, unit) == ("Trials", "trials")
        self.totals.append(total)

    def advance(self, count: int = 1, *, detail: str | None = None) -> None:
        assert count in (0, 1)
        self.details.append(detail or "")

    def finish(self, summary: str) -> None:
        self.summary = summary

    def note(self, text: str) -> None:
        self.notes.append(text)

    def close(self) -> None:
        raise AssertionError


def result(accuracy: float) -> TrialResult:
    return TrialResult(
        num_validation=100,
        val_loss=1 - accuracy,
        val_accuracy=accuracy,
        train_loss=0.1,
        train_accuracy=1.0,
        curve=(),
        seconds=0.1,
    )


def finished(accuracy: float) -> TrialEnd:
    return TrialEnd(status="finished", result=result(accuracy))


Run = Callable[..., Shown]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return `run(ends)`, which plays trials that end so, one of another setting each."""

    def play(
        ends: list[TrialEnd], *, kind: Kind = "head", keep: Callable[[], None] = lambda: None
    ) -> Shown:
        def end_of(trial: Trial, **named: Any) -> TrialEnd:
            if trial.kind == "network":
                point = EpochPoint(
                    epoch=2, train_loss=1, train_accuracy=0, val_loss=1, val_accuracy=0.5
                )
                named["on_epoch"](trial, (point,), 7)
            return ends[trial.number]

        monkeypatch.setattr(loop, "run_trial", end_of)
        shown = Shown()
        with SqliteTrials(tmp_path / "trials.sqlite") as store:
            numbers = range(len(ends))
            store.add(
                [
                    Trial(number=n, settings={"optim.lr": 10.0**-n}, seed=0, kind=kind)
                    for n in numbers
                ]
            )
            run_trials(
                Planned(store),
                store=store,
                engine=LocalEngine(),
                bench=Bench(
                    work=tmp_path, basis=Basis(recipe=Recipe(), reason=""), is_bootstrapped=False
                ),
                num_trials=len(ends),
                keep=keep,
                progress=shown,
            )
        return shown

    return play


def test_the_best_so_far_is_shown_with_each_trial(run: Run) -> None:
    shown = run([finished(0.5), finished(0.9), finished(0.7)])
    assert shown.totals == [3]
    assert shown.details == [
        "best 50.00% (optim.lr 1)",
        "best 90.00% (optim.lr 0.1)",
        "best 90.00% (optim.lr 0.1)",
    ]
    assert shown.summary == "3 trials; best 90.00% (optim.lr 0.1)"


def test_networks_show_their_epochs(run: Run) -> None:
    shown = run([finished(0.5)], kind="network")
    assert shown.details[0] == "trial 0, epoch 2/7: 50.00%; none has finished yet"


def test_the_first_failures_are_told_and_all_are_counted(run: Run) -> None:
    failed = TrialEnd(status="failed", error="so it goes")
    pruned = TrialEnd(status="pruned", result=result(0.1))
    shown = run([*[failed] * 5, pruned, finished(0.5)])
    assert len(shown.notes) == 3
    assert shown.notes[0] == "Trial 0 (optim.lr 1) failed: so it goes"
    assert shown.notes[2].endswith("Further ones are told in trials.csv.")
    assert shown.summary.startswith("1 trial, 1 stopped early, 5 failed; best 50.00%")


def test_the_time_that_is_left_is_told_after_the_first_of_a_kind(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = iter(range(0, 10_000, 5))
    monkeypatch.setattr("fieldmark.studying.loop.time.monotonic", lambda: float(next(now)))
    shown = run([finished(0.5)] * 4)
    assert len(shown.notes) == 1
    assert shown.notes[0].startswith("The first trial of a head took ")
    assert "the 3 that are left" in shown.notes[0]


def test_tables_and_page_are_kept_now_and_then(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "KEEP_EVERY_S", 0.0)
    kept: list[int] = []
    run([finished(0.5)] * 3, keep=lambda: kept.append(1))
    assert kept
    monkeypatch.setattr(loop, "KEEP_EVERY_S", 60.0)
    kept.clear()
    run([finished(0.5)] * 3, keep=lambda: kept.append(1))
    assert not kept
