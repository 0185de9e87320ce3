"""The cache: results come back, and nothing is ever needed from it."""

import os
from pathlib import Path

import pytest

from fieldmark.base import cache as module
from fieldmark.base.cache import cache_folder, digest_of, remembered


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FIELDMARK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def number_in(result: dict[str, int]) -> int:
    return result["answer"]


class Computed:
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> dict[str, int]:
        self.times += 1
        return {"answer": 42}


def test_the_folder_is_the_one_chosen_or_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIELDMARK_CACHE", "~/chosen")
    assert cache_folder() == Path.home() / "chosen"
    monkeypatch.delenv("FIELDMARK_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", os.sep + "xdg")
    assert cache_folder() == Path(os.sep + "xdg", "fieldmark")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "fieldmark"


def test_a_result_is_computed_once(folder: Path) -> None:
    compute = Computed()
    for _ in range(2):
        assert remembered("answers", {"a": 1, "b": 2}, compute, read=number_in) == 42
    assert compute.times == 1
    assert [path.parent.name for path in folder.rglob("*.json")] == ["answers"]


def test_other_inputs_another_name_or_another_version_compute_anew(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compute = Computed()
    remembered("answers", {"a": 1}, compute, read=number_in)
    remembered("answers", {"a": 2}, compute, read=number_in)
    remembered("others", {"a": 1}, compute, read=number_in)
    monkeypatch.setattr(module, "__version__", "another")
    remembered("answers", {"a": 1}, compute, read=number_in)
    assert compute.times == 4


def test_the_order_of_keys_does_not_matter() -> None:
    assert digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1})
    assert len(digest_of({})) == 32


@pytest.mark.parametrize("content", ["", "no JSON", "[1]", '{"other": 1}'])
def test_a_damaged_result_is_computed_anew(folder: Path, content: str) -> None:
    compute = Computed()
    remembered("answers", {}, compute, read=number_in)
    (kept,) = folder.rglob("*.json")
    kept.write_text(content)
    assert remembered("answers", {}, compute, read=number_in) == 42
    assert compute.times == 2


def test_a_cache_that_cannot_be_written_is_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("FIELDMARK_CACHE", str(tmp_path / "file"))
    assert remembered("answers", {}, Computed(), read=number_in) == 42
