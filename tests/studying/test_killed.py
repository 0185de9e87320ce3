"""A study whose process is killed without a word goes on, nothing lost and nothing done twice."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import fieldmark
from fieldmark.studies.record import StudyFolder
from fieldmark.studies.store import read_trials
from fieldmark.studies.trials import Trial, finished

pytestmark = pytest.mark.skipif(os.name != "posix", reason="SIGKILL")

VARY = ("optim.lr=1e-4,1e-3,1e-2", "optim.name=adam,sgd")
EPOCHS = 400
"""So that a trial takes a good part of a second, in which the kill comes."""
LIMIT_S = 60


def command(photos: Path, weights: Path, out: Path) -> list[str]:
    varied = [part for text in VARY for part in ("--vary", text)]
    settings = ("split.validation=0.25", "train.precision=float32", f"train.epochs={EPOCHS}")
    sets = [part for text in settings for part in ("--set", text)]
    start = [sys.executable, "-m", "fieldmark", "study", str(photos), "--weights", str(weights)]
    return [*start, *varied, *sets, "--seeds", "2", "--no-final", "--out", str(out)]


def kill_after(num_done: int, asked: list[str], out: Path) -> list[Trial]:
    """Run a study until so many trials are done, kill it, and return what it left finished."""
    process = subprocess.Popen(asked, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        began_s = time.monotonic()
        while len(finished(trials_of(out))) < num_done:
            assert process.poll() is None
            assert time.monotonic() - began_s < LIMIT_S
            time.sleep(0.02)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == -signal.SIGKILL
    return finished(trials_of(out))


def trials_of(out: Path) -> list[Trial]:
    """Return the trials that are there; none while the file is only being made."""
    try:
        return read_trials(StudyFolder(out).trials_sqlite)
    except fieldmark.FieldmarkError:
        return []


def test_no_finished_trial_is_lost_or_run_twice(
    tmp_path: Path, photos: Path, weights: Path
) -> None:
    out = tmp_path / "study"
    asked = command(photos, weights, out)
    first = kill_after(2, asked, out)
    second = kill_after(len(first) + 2, asked, out)
    assert second[: len(first)] == first
    done = fieldmark.study(photos, out=out, resume=True, final=False)
    assert list(done.trials[: len(second)]) == second
    assert [trial.status for trial in done.trials] == ["finished"] * 12
    assert [trial.number for trial in done.trials] == list(range(12))
    # Begun a second time were at most the two that were running when the kills came.
    assert sum(trial.attempts for trial in done.trials) <= 12 + 2
    assert done.record.status == "finished"
    assert done.page.is_file()
