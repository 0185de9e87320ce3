import errno
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

from fieldmark.base.errors import RecipeError
from fieldmark.training.tensorboard import (
    EventFiles,
    NoScalars,
    Scalars,
    tensorboard_scalars,
)

Points = dict[str, list[tuple[int, float]]]


def points(folder: Path) -> Points:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        found = EventAccumulator(str(folder))
        found.Reload()
    return {
        name: [(event.step, event.value) for event in found.Scalars(name)]
        for name in found.Tags()["scalars"]
    }


def test_values_are_read_back_by_tensorboard(tmp_path: Path) -> None:
    scalars = tensorboard_scalars(tmp_path / "tensorboard")
    scalars.write(1, {"loss/train": 2.5, "loss/validation": 3.0})
    scalars.write(2, {"loss/train": 1.25})
    scalars.close()
    assert points(tmp_path / "tensorboard") == {
        "loss/train": [(1, 2.5), (2, 1.25)],
        "loss/validation": [(1, 3.0)],
    }


def test_values_can_be_watched_before_the_end(tmp_path: Path) -> None:
    scalars = tensorboard_scalars(tmp_path)
    scalars.write(1, {"loss": 2.5})
    assert points(tmp_path) == {"loss": [(1, 2.5)]}
    scalars.close()


def test_training_that_goes_on_adds_to_what_was_written(tmp_path: Path) -> None:
    for part in ((1, 2), (3, 4)):
        scalars = tensorboard_scalars(tmp_path)
        for step in part:
            scalars.write(step, {"loss": float(step)})
        scalars.close()
    assert points(tmp_path) == {"loss": [(step, float(step)) for step in range(1, 5)]}


def test_without_tensorboard_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("torch.utils.tensorboard")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(RecipeError, match=r"pip install 'fieldmark\[tensorboard\]'"):
        tensorboard_scalars(tmp_path)


def test_a_full_disk_costs_no_run() -> None:
    class Full:
        def __getattr__(self, name: str) -> Any:
            def fail(*_: object) -> None:
                raise OSError(errno.ENOSPC, "No space left on device")

            return fail

    scalars = EventFiles(Full())
    scalars.write(1, {"loss": 1.0})
    scalars.close()


def test_nothing_is_written_where_nothing_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    scalars: Scalars = NoScalars()
    scalars.write(1, {"loss": 1.0})
    scalars.close()
    assert list(tmp_path.iterdir()) == []
