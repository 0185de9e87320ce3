"""Exit codes, and a last word that a person can use, for everything that can go wrong."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fieldmark import __version__
from fieldmark.base.stopping import Stopped
from fieldmark.run import Run

CallMain = Callable[..., Any]

DEFINITELY_ENOUGH_S = 120
"""For a process to start on a busy machine; nothing waits for as long if all is well."""


def interruptible(*arguments: object) -> list[str]:
    """Return a command that minds Ctrl-C even where this process was started to ignore it."""
    script = (
        "import signal\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from fieldmark.__main__ import main\n"
        "main()"
    )
    return [sys.executable, "-c", script, *map(str, arguments)]


def raising(error: BaseException) -> Callable[..., None]:
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


# Done


def test_the_package_runs_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "fieldmark", "--version"],
        capture_output=True,
        text=True,
        check=True,
        timeout=DEFINITELY_ENOUGH_S,
    )
    assert (done.stdout, done.stderr) == (f"fieldmark {__version__}\n", "")


def test_success_is_0(call_main: CallMain) -> None:
    assert call_main("--version").code == 0


# Bad usage and bad input


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["trian"],
        ["train"],
        ["train", "photos", "--recpe", "quick"],
        ["predict", "run"],
        ["predict", "run", "a.jpg", "--top-k", "0"],
        ["predict", "run", "a.jpg", "--top-k", "two"],
        ["summary", "--classes", "1"],
    ],
)
def test_bad_usage_is_2_with_the_way_to_help(call_main: CallMain, arguments: list[str]) -> None:
    outcome = call_main(*arguments)
    assert outcome.code == 2
    assert "Usage: fieldmark" in outcome.err
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "gone"], "does not exist"),
        (["train", "{photos}", "--recipe", "quik"], "Did you mean 'quick'?"),
        (["train", "{photos}", "--weights", "none"], "--recipe finetune"),
        (["train", "{photos}", "--weights", "gone"], "There are no weights at gone"),
        (["train", "{photos}", "--set", "epochs=1"], "section.key=value"),
        (["train", "{photos}", "--split-file", "gone.csv"], "no split file gone.csv"),
        (["train", "{photos}", "--out", "{photos}/run"], "inside the folder of photos"),
        (["train", "{photos}", "--out", "{run}"], "already holds something"),
        (["evaluate", "gone"], "no run at gone"),
        (["evaluate", "{photos}"], "is not a run folder"),
        (["evaluate", "{run}", "{photos}/sky"], "no usable photo"),
        (["predict", "{run}", "gone.jpg"], "no file or folder gone.jpg"),
        (["predict", "{run}", "{run}/run.json"], "could not be read: not an image"),
        (["predict", "{run}", "{photos}", "--format", "xml"], "Allowed: table, csv, jsonl"),
        (["summary", "--backbone", "resnet5"], "no backbone 'resnet5'"),
        (["summary", "--set", "train.epoch=1"], "Did you mean 'epochs'?"),
        (["demo", "--out", "{run}/run.json"], "run.json"),
        (["data", "natural-image"], "Did you mean 'natural-images'?"),
    ],
)
def test_bad_input_is_2_with_a_message_and_no_trace(
    call_main: CallMain,
    photos: Path,
    finished_quick: Run,
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = call_main(
        *(part.format(photos=photos, run=finished_quick.path) for part in arguments)
    )
    assert outcome.code == 2
    last = outcome.err.splitlines()[-1]
    assert last.startswith("fieldmark: ")
    assert message in last
    assert "Traceback" not in outcome.err
    assert "Errno" not in outcome.err
    assert outcome.out == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES])
def test_a_full_disk_is_for_the_user_to_put_right(
    call_main: CallMain,
    photos: Path,
    weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    code: int,
) -> None:
    full = OSError(code, os.strerror(code), str(tmp_path / "run" / "catalog.csv"))
    monkeypatch.setattr("fieldmark.photo_source.gather", raising(full))
    outcome = call_main("train", photos, "--weights", weights, "--out", tmp_path / "run")
    assert outcome.code == 2
    assert f"catalog.csv: {os.strerror(code)}." in outcome.err
    assert "Traceback" not in outcome.err


# Defects


def test_a_defect_is_1_with_its_trace_and_a_request_to_report_it(
    call_main: CallMain,
    photos: Path,
    weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("fieldmark.stages.learn", raising(ZeroDivisionError("by zero")))
    outcome = call_main("train", photos, "--weights", weights, "--out", tmp_path / "run")
    assert outcome.code == 1
    assert "Traceback (most recent call last)" in outcome.err
    assert "ZeroDivisionError: by zero" in outcome.err
    assert "Please report it" in outcome.err.splitlines()[-1]
    content = json.loads((tmp_path / "run" / "run.json").read_text("utf-8"))
    assert (content["status"], content["error"]) == ("failed", "ZeroDivisionError: by zero")


def test_another_system_error_is_a_defect(
    call_main: CallMain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fieldmark.workflow.demo", raising(OSError(errno.EBADF, "Bad file")))
    outcome = call_main("demo")
    assert outcome.code == 1
    assert "Please report it" in outcome.err


# Interruptions


def test_an_interruption_is_130_and_recorded(
    call_main: CallMain,
    photos: Path,
    weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("fieldmark.stages.learn", raising(KeyboardInterrupt()))
    outcome = call_main("train", photos, "--weights", weights, "--out", tmp_path / "run")
    assert outcome.code == 130
    command = f"fieldmark train {photos} --out {tmp_path / 'run'} --resume"
    assert outcome.err.splitlines()[-1] == (
        "fieldmark: interrupted from the keyboard; there was no state of training to save yet. "
        f"Go on with: {command}"
    )
    content = json.loads((tmp_path / "run" / "run.json").read_text("utf-8"))
    assert content["status"] == "interrupted"


@pytest.mark.parametrize(
    ("verb", "called"),
    [
        ("explore", "fieldmark.workflow.explore"),
        ("predict", "fieldmark.predicting.predict_to"),
    ],
)
def test_what_interrupted_another_verb_is_told(
    call_main: CallMain, monkeypatch: pytest.MonkeyPatch, verb: str, called: str
) -> None:
    for error, told in ((KeyboardInterrupt(), "interrupted"), (Stopped("by SIGHUP"), "by SIGHUP")):
        monkeypatch.setattr(called, raising(error))
        outcome = call_main(verb, "run", *(["a.jpg"] if verb == "predict" else []))
        assert (outcome.code, outcome.err) == (130, f"fieldmark: {told}\n")


@pytest.mark.skipif(os.name != "posix", reason="there are no signals to send")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_in_the_midst_of_training_ends_in_130_with_the_way_to_go_on(
    photos: Path, weights: Path, tmp_path: Path, name: str
) -> None:
    run = tmp_path / "run"
    flags = ["--recipe", "finetune", "--weights", weights, "--out", run]
    endless = ["--set", "train.epochs=10000", "--set", "train.precision=float32"]
    with subprocess.Popen(
        interruptible("train", photos, *flags, *endless), stderr=subprocess.PIPE, text=True
    ) as process:
        until = time.monotonic() + DEFINITELY_ENOUGH_S
        while not (run / "layers.csv").exists() and time.monotonic() < until:
            assert process.poll() is None, process.communicate()[1]
            time.sleep(0.05)
        time.sleep(0.5)
        process.send_signal(getattr(signal, name))
        _, err = process.communicate(timeout=DEFINITELY_ENOUGH_S)
    assert process.returncode == 130
    last = err.splitlines()[-1]
    assert last.startswith("fieldmark: ")
    assert last.endswith(f"Go on with: fieldmark train {photos} --out {run} --resume")
    assert "Traceback" not in err
    content = json.loads((run / "run.json").read_text("utf-8"))
    assert content["status"] == "interrupted"
    assert ("keyboard" if name == "SIGINT" else name) in content["error"]
    assert not (run / "lock").exists()


def test_a_full_disk_while_a_file_is_written_names_the_file(
    call_main: CallMain,
    photos: Path,
    weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sync = os.fsync

    def full(descriptor: int) -> None:
        if (tmp_path / "run" / "recipe.toml").exists():  # the beginning went well
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # without a name, as it comes
        sync(descriptor)

    monkeypatch.setattr("os.fsync", full)
    outcome = call_main("train", photos, "--weights", weights, "--out", tmp_path / "run")
    assert outcome.code == 2
    last = outcome.err.splitlines()[-1]
    assert last.startswith(f"fieldmark: {tmp_path / 'run'}{os.sep}")
    assert last.endswith("No space left on device. Free some space or change the place.")
    assert not (tmp_path / "run" / "lock").exists()


def test_a_reader_that_goes_away_is_no_error(finished_quick: Run) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "fieldmark", "evaluate", str(finished_quick.path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        err = process.stderr.read()
        assert process.wait(timeout=DEFINITELY_ENOUGH_S) == 0
    assert err == b""
