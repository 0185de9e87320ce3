import csv
import hashlib
import json
import os
import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fieldmark.base.files import sha256_of, write_bytes, write_csv, write_json, write_text

CELLS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
ROWS = st.lists(st.lists(CELLS, min_size=2, max_size=2), max_size=6)


def read_rows(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.reader(stream))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_missing_folders_above_a_file_are_made(tmp_path: Path) -> None:
    write_bytes(tmp_path / "run" / "model" / "weights", b"\x00\x01")
    assert (tmp_path / "run" / "model" / "weights").read_bytes() == b"\x00\x01"


def test_a_new_file_replaces_the_old_one_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "old")
    write_text(tmp_path / "a.txt", "nëw")
    assert (tmp_path / "a.txt").read_bytes() == b"n\xc3\xabw"
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize(("owner", "failing"), [(os, "fsync"), (Path, "replace")])
def test_a_write_that_fails_leaves_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: object, failing: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    write_text(tmp_path / "a.txt", "old")
    with monkeypatch.context() as patched:
        patched.setattr(owner, failing, fail)
        with pytest.raises(OSError, match="No space left") as failed:
            write_text(tmp_path / "a.txt", "new")
    assert failed.value.filename == str(tmp_path / "a.txt")
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "old"
    assert names(tmp_path) == ["a.txt"]


def test_an_interrupted_write_leaves_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    write_text(tmp_path / "a.txt", "old")
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", interrupt)
        with pytest.raises(KeyboardInterrupt):
            write_text(tmp_path / "a.txt", "new")
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "old"
    assert names(tmp_path) == ["a.txt"]


@pytest.mark.skipif(os.name != "posix", reason="folders can be synced on POSIX systems only")
def test_a_folder_that_cannot_be_synced_does_not_fail_the_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync = os.fsync

    def sync_files_only(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(22, "Invalid argument")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", sync_files_only)
    write_text(tmp_path / "a.txt", "kept")
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "kept"


@pytest.mark.skipif(os.name != "posix", reason="file modes are those of POSIX systems")
def test_a_file_is_as_readable_for_others_as_the_umask_says(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_bytes(tmp_path / "a", b"")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


def test_a_file_name_as_long_as_the_system_allows_can_be_written(tmp_path: Path) -> None:
    write_text(tmp_path / ("n" * 255), "long")
    assert (tmp_path / ("n" * 255)).read_text(encoding="utf-8") == "long"


def test_json_is_indented_ends_in_a_line_end_and_keeps_umlauts(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"class": "Käfer", "n": 1})
    written = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert written == '{\n  "class": "Käfer",\n  "n": 1\n}\n'


def test_json_refuses_nan_and_keeps_the_old_file(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"loss": 1.5})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"loss": float("nan")})
    assert json.loads((tmp_path / "a.json").read_bytes()) == {"loss": 1.5}


def test_json_gives_back_a_file_name_that_is_not_utf8(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.jpg") if os.name == "posix" else "caf\udce9.jpg"
    write_json(tmp_path / "a.json", {"path": name})
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"path": name}


def test_csv_shows_a_file_name_that_is_not_utf8_with_an_escape(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", header=["path"], rows=[["caf\udce9.jpg"]])
    assert read_rows(tmp_path / "a.csv") == [["path"], ["caf\\udce9.jpg"]]


def test_csv_is_written_with_line_feeds_and_quotes_only_where_needed(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", header=["path", "n"], rows=[["a,b", 1], ["c", 0.25]])
    assert (tmp_path / "a.csv").read_bytes() == b'path,n\n"a,b",1\nc,0.25\n'


@given(rows=ROWS)
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_csv_gives_back_every_cell_that_was_written(tmp_path: Path, rows: list[list[str]]) -> None:
    write_csv(tmp_path / "a.csv", header=["path", "label"], rows=rows)
    assert read_rows(tmp_path / "a.csv") == [["path", "label"], *rows]


@pytest.mark.parametrize("cell", ["Icon\r", "a\nb", "a\r\nb", "\r\n", ""])
def test_csv_gives_back_a_cell_with_line_ends(tmp_path: Path, cell: str) -> None:
    write_csv(tmp_path / "a.csv", header=["path"], rows=[[cell]])
    assert read_rows(tmp_path / "a.csv") == [["path"], [cell]]


def test_sha256_is_that_of_the_standard(tmp_path: Path) -> None:
    # FIPS 180-2, appendix B.1: the digest of "abc".
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256_of(tmp_path / "abc") == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )


def test_sha256_covers_a_file_of_more_than_one_block(tmp_path: Path) -> None:
    content = bytes(range(256)) * 5000
    (tmp_path / "big").write_bytes(content)
    assert sha256_of(tmp_path / "big") == hashlib.sha256(content).hexdigest()
