"""The name of the processor, wherever the system keeps it."""

from pathlib import Path

import pytest

from fieldmark.base import machine
from fieldmark.base.machine import processor_name


@pytest.fixture
def cpuinfo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that is read in place of the system's, and a platform of known names."""
    file = tmp_path / "cpuinfo"
    monkeypatch.setattr(machine, "Path", lambda _: file)
    monkeypatch.setattr("platform.processor", lambda: "")
    monkeypatch.setattr("platform.machine", lambda: "arm64")
    return file


def test_the_first_model_name_is_taken(cpuinfo: Path) -> None:
    cpuinfo.write_text("processor\t: 0\nmodel name\t: One: 9000 \n\nmodel name\t: Other\n")
    assert processor_name() == "One: 9000"


def test_a_list_without_names_leaves_it_to_the_platform(
    cpuinfo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cpuinfo.write_text("processor\t: 0\nBogoMIPS\t: 50\n")
    assert processor_name() == "arm64"
    monkeypatch.setattr("platform.processor", lambda: "arm")
    assert processor_name() == "arm"


def test_a_system_without_such_a_list_leaves_it_to_the_platform(cpuinfo: Path) -> None:
    assert not cpuinfo.exists()
    assert processor_name() == "arm64"


def test_this_machine_has_a_name() -> None:
    assert processor_name().strip()
