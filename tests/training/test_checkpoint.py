import errno
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from fieldmark.base.errors import RunError
from fieldmark.training.checkpoint import NAME, Checkpoint, Checkpoints, joined
from fieldmark.training.tensor_file import write_tensors


@pytest.fixture
def checkpoints(tmp_path: Path) -> Checkpoints:
    return Checkpoints(tmp_path / "run" / "checkpoints")


def checkpoint(step: int, **state: Any) -> Checkpoint:
    tensors = {"weight": torch.full((4,), float(step)), "count": torch.tensor(step)}
    return Checkpoint(step=step, tensors=tensors, state={"epoch": step, **state})


def saved(checkpoints: Checkpoints, *steps: int) -> list[Path]:
    return [checkpoints.save(checkpoint(step)) for step in steps]


def names(checkpoints: Checkpoints) -> list[str]:
    return sorted(path.name for path in checkpoints.folder.iterdir())


def latest_step(checkpoints: Checkpoints, warn: Callable[[str], None]) -> int:
    found = checkpoints.latest(warn)
    assert found is not None
    assert found.tensors["weight"].tolist() == [found.step] * 4
    assert found.tensors["count"].item() == found.state["epoch"] == found.step
    return found.step


def fail(text: str) -> None:
    pytest.fail(f"warned: {text}")


def flip(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


@contextmanager
def failing(monkeypatch: pytest.MonkeyPatch, error: BaseException, *, at: str) -> Iterator[None]:
    def raise_it(*_: object, **__: object) -> None:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(*{"fsync": (os, "fsync"), "open": (Path, "open")}[at], raise_it)
        yield


def test_a_checkpoint_comes_back_as_it_was_saved(checkpoints: Checkpoints) -> None:
    state = {"epoch": 3, "best": 0.1 + 0.2, "worst": float("inf"), "history": [{"a": None}], "ä": 1}
    tensors = {"a.b": torch.randn(3, 2), "n": torch.tensor(7), "none": torch.empty(0)}
    checkpoints.save(Checkpoint(step=12, tensors=tensors, state=state))
    found = checkpoints.latest(fail)
    assert found is not None
    assert (found.step, found.state) == (12, state)
    assert {name: value.tolist() for name, value in found.tensors.items()} == {
        name: value.tolist() for name, value in tensors.items()
    }


def test_a_folder_without_checkpoints_has_no_latest(checkpoints: Checkpoints) -> None:
    assert checkpoints.latest(fail) is None
    checkpoints.folder.mkdir(parents=True)
    assert checkpoints.latest(fail) is None


def test_the_name_tells_the_step_and_the_digest(checkpoints: Checkpoints) -> None:
    (path,) = saved(checkpoints, 42)
    match = NAME.fullmatch(path.name)
    assert match is not None
    assert match[1] == "00000042"


def test_the_last_two_are_kept(checkpoints: Checkpoints) -> None:
    paths = saved(checkpoints, 1, 2, 3, 4)
    assert names(checkpoints) == [path.name for path in paths[-2:]]
    assert latest_step(checkpoints, fail) == 4


def test_steps_of_more_digits_than_the_name_provides_for_are_in_order(
    checkpoints: Checkpoints,
) -> None:
    saved(checkpoints, 99_999_999, 100_000_000)
    assert latest_step(checkpoints, fail) == 100_000_000


def test_the_same_step_twice_leaves_one_file_and_the_one_before(checkpoints: Checkpoints) -> None:
    before, _ = saved(checkpoints, 1, 2)
    again = checkpoints.save(checkpoint(2, seconds=5))
    assert names(checkpoints) == [before.name, again.name]
    assert checkpoints.save(checkpoint(2, seconds=5)) == again
    assert names(checkpoints) == [before.name, again.name]


def test_checkpoints_after_the_step_that_training_went_back_to_are_removed(
    checkpoints: Checkpoints,
) -> None:
    before, damaged = saved(checkpoints, 50, 100)
    flip(damaged, 0)
    (anew,) = saved(checkpoints, 60)
    assert names(checkpoints) == [before.name, anew.name]


def test_nothing_is_removed_before_the_new_one_is_on_the_disk(
    checkpoints: Checkpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = saved(checkpoints, 1, 2)
    unlink = Path.unlink
    removed = []

    def spy(path: Path, missing_ok: bool = False) -> None:
        removed.append(path.name)
        assert sum(bool(NAME.fullmatch(name)) for name in names(checkpoints)) == 3
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", spy)
    saved(checkpoints, 3)
    assert removed == [paths[0].name]


def test_an_old_file_that_cannot_be_removed_does_not_end_the_training(
    checkpoints: Checkpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved(checkpoints, 1, 2)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", refuse)
        saved(checkpoints, 3)
    assert latest_step(checkpoints, fail) == 3


def test_a_flipped_bit_in_any_byte_is_noticed(checkpoints: Checkpoints) -> None:
    _, newest = saved(checkpoints, 1, 2)
    size = newest.stat().st_size
    for position in range(size):
        flip(newest, position)
        warnings: list[str] = []
        assert latest_step(checkpoints, warnings.append) == 1
        assert len(warnings) == 1
        flip(newest, position)
    assert latest_step(checkpoints, fail) == 2


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_file_that_was_cut_short_is_passed_over_with_a_warning(
    checkpoints: Checkpoints, share: float
) -> None:
    _, newest = saved(checkpoints, 1, 2)
    content = newest.read_bytes()
    newest.write_bytes(content[: int(len(content) * share)])
    warnings: list[str] = []
    assert latest_step(checkpoints, warnings.append) == 1
    (warning,) = warnings
    assert str(newest) in warning
    assert "damaged" in warning


def test_bytes_after_the_end_are_noticed(checkpoints: Checkpoints) -> None:
    _, newest = saved(checkpoints, 1, 2)
    newest.write_bytes(newest.read_bytes() + b"\0")
    warnings: list[str] = []
    assert latest_step(checkpoints, warnings.append) == 1
    assert len(warnings) == 1


def test_a_file_named_for_another_step_is_passed_over(checkpoints: Checkpoints) -> None:
    _, newest = saved(checkpoints, 1, 2)
    newest.rename(newest.with_name(newest.name.replace("00000002", "00000009")))
    warnings: list[str] = []
    assert latest_step(checkpoints, warnings.append) == 1
    assert "step 9" in warnings[0]


def test_a_file_that_cannot_be_read_is_passed_over_with_the_reason(
    checkpoints: Checkpoints,
) -> None:
    saved(checkpoints, 1)
    (checkpoints.folder / f"step-00000002-{'0' * 16}.safetensors").mkdir()
    warnings: list[str] = []
    assert latest_step(checkpoints, warnings.append) == 1
    assert os.strerror(errno.EISDIR) in warnings[0]


def test_checkpoints_that_are_all_damaged_are_never_taken_for_none(
    checkpoints: Checkpoints,
) -> None:
    paths = saved(checkpoints, 1, 2)
    for path in paths:
        flip(path, -1)
    with pytest.raises(RunError, match="None of the checkpoints") as caught:
        checkpoints.latest(lambda _: None)
    assert all(path.name in str(caught.value) for path in paths)
    assert str(checkpoints.folder) in str(caught.value)


def test_foreign_files_are_neither_read_nor_removed(checkpoints: Checkpoints) -> None:
    saved(checkpoints, 1)
    own = f"step-00000009-{'0' * 16}.safetensors"
    foreign = ["notes.txt", "step-00000009.safetensors", f"copy of {own}", f"{own}.bak"]
    for name in foreign:
        (checkpoints.folder / name).write_bytes(b"mine")
    saved(checkpoints, 2, 3)
    assert latest_step(checkpoints, fail) == 3
    assert set(foreign) < set(names(checkpoints))


def test_a_foreign_file_under_a_name_that_fits_is_passed_over(
    checkpoints: Checkpoints, tmp_path: Path
) -> None:
    saved(checkpoints, 1)
    write_tensors({}, checkpoints.folder, stem="step-00000002", content={"schema_version": 1})
    warnings: list[str] = []
    assert latest_step(checkpoints, warnings.append) == 1
    assert len(warnings) == 1


def test_a_checkpoint_of_a_newer_fieldmark_is_refused(checkpoints: Checkpoints) -> None:
    saved(checkpoints, 1)
    content = {"schema_version": 2, "step": 2, "state": {}}
    write_tensors({}, checkpoints.folder, stem="step-00000002", content=content)
    with pytest.raises(RunError, match=r"schema version 2.*newer Fieldmark"):
        checkpoints.latest(fail)


def test_what_a_killed_write_left_is_not_read_and_goes_with_the_next_save(
    checkpoints: Checkpoints,
) -> None:
    (path,) = saved(checkpoints, 1)
    half = path.read_bytes()[: path.stat().st_size // 2]
    (checkpoints.folder / ".fieldmark-0123456789abcdef.tmp").write_bytes(half)
    assert latest_step(checkpoints, fail) == 1
    (newest,) = saved(checkpoints, 2)
    assert names(checkpoints) == [path.name, newest.name]


@pytest.mark.parametrize("at", ["fsync", "open"])
@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EROFS, "Read-only file system"),
        PermissionError(errno.EACCES, "Permission denied"),
    ],
    ids=["full", "read-only", "not-permitted"],
)
def test_a_save_that_fails_says_why_and_leaves_the_old_ones(
    checkpoints: Checkpoints, monkeypatch: pytest.MonkeyPatch, error: OSError, at: str
) -> None:
    paths = saved(checkpoints, 1, 2)
    with (
        failing(monkeypatch, error, at=at),
        pytest.raises(RunError, match=f"step 3 .*{error.strerror}.*step 2 is untouched"),
    ):
        saved(checkpoints, 3)
    assert names(checkpoints) == [path.name for path in paths]
    assert latest_step(checkpoints, fail) == 2


def test_a_first_save_that_fails_says_that_there_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="There is none before it"):
        saved(Checkpoints(tmp_path / "file" / "checkpoints"), 1)


def test_a_folder_that_cannot_be_listed_is_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").write_text("")
    with pytest.raises(RunError, match="cannot be read"):
        Checkpoints(tmp_path / "checkpoints").latest(fail)


@pytest.mark.skipif(os.name != "posix", reason="a limit on the size of files needs POSIX")
def test_a_disk_that_is_full_half_way_through_a_file_leaves_the_old_one(
    checkpoints: Checkpoints,
) -> None:
    import resource

    saved(checkpoints, 1)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    big = Checkpoint(step=2, tensors={"big": torch.zeros(100_000)}, state={})
    try:
        # The signal that comes with it is one that Python ignores, so the write fails.
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
        with pytest.raises(RunError, match="cannot be written"):
            checkpoints.save(big)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert len(names(checkpoints)) == 1
    assert latest_step(checkpoints, fail) == 1


def test_an_interrupt_during_a_save_leaves_the_old_one_and_nothing_else(
    checkpoints: Checkpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = saved(checkpoints, 1, 2)
    with failing(monkeypatch, KeyboardInterrupt(), at="fsync"), pytest.raises(KeyboardInterrupt):
        saved(checkpoints, 3)
    assert names(checkpoints) == [path.name for path in paths]


def test_a_state_that_is_not_plain_json_is_refused_and_nothing_is_left(
    checkpoints: Checkpoints,
) -> None:
    with pytest.raises(TypeError, match="not JSON serializable"):
        checkpoints.save(checkpoint(1, path=Path("x")))
    assert names(checkpoints) == []


def test_parts_that_were_joined_come_apart_again(checkpoints: Checkpoints) -> None:
    network = {"conv.weight": torch.ones(1), "bias": torch.ones(2)}
    ema = {"conv.weight": torch.zeros(1)}
    tensors = joined(network=network, network_ema=ema, empty={})
    checkpoints.save(Checkpoint(step=1, tensors=tensors, state={}))
    found = checkpoints.latest(fail)
    assert found is not None
    assert {name: value.tolist() for name, value in found.part("network").items()} == {
        "conv.weight": [1],
        "bias": [1, 1],
    }
    assert found.part("network_ema")["conv.weight"].tolist() == [0]
    assert found.part("empty") == {}


def test_the_state_is_readable_without_fieldmark(checkpoints: Checkpoints) -> None:
    (path,) = saved(checkpoints, 3)
    content = path.read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    described = json.loads(header["__metadata__"]["fieldmark"])
    assert described["content"] == {"schema_version": 1, "step": 3, "state": {"epoch": 3}}
