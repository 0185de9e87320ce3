"""Published datasets fetched from a stand-in for Kaggle on this machine, and what can go wrong.

kagglehub is the real one. Its setting for a Kaggle on this machine names `http://localhost`, and a
proxy setting leads that to the stand-in's own port; so nothing here can reach the real network.
"""

import _thread
import errno
import gc
import io
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import zipfile
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from hashlib import md5
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fieldmark import workflow
from fieldmark.base.errors import DataError
from fieldmark.base.stopping import Stopped
from fieldmark.datasets import NATURAL_IMAGES, Dataset

CallMain = Callable[..., Any]
Archive = dict[str, bytes]

TINY = Dataset(
    name="tiny",
    handle="someone/tiny",
    counts={"cat": 4, "dog": 3},
    folder="tiny_images",
    copies=("data/tiny_images",),
    licence="As its page says.",
    recipe="reference",
)
NUM_BYTES = 200_000
"""Of a photo: the archive must be more than the 1 MiB that kagglehub takes at a time."""
SETTINGS = ("KAGGLE_API_TOKEN", "KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_KERNEL_RUN_TYPE")
DEFINITELY_ENOUGH_S = 60.0


class Kaggle(ThreadingHTTPServer):
    """Answers what kagglehub asks of Kaggle, and goes wrong where a test wants it to."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.archive = b""
        self.status = 200
        """Other than 200: the answer to every question."""
        self.is_silent = False
        self.midway: Callable[[], object] | None = None
        """Called once, when most of the archive is sent."""
        self.breaks_off = False
        self.checksum: bytes | None = None
        self.asked: list[str] = []
        self.ended = threading.Event()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no error."""


class Answer(BaseHTTPRequestHandler):
    server: Kaggle

    def do_POST(self) -> None:
        question = self.path.rpartition("/")[2]
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(f"{question} {body['ownerSlug']}/{body['datasetSlug']}")
        if self.server.is_silent:
            self.server.ended.wait(DEFINITELY_ENOUGH_S)
        elif "wrong" in self.headers.get("Authorization", ""):
            self.send_error(401)
        elif self.server.status != 200:
            self.send_error(self.server.status)
        elif question == "GetDataset":
            self.answer(200, json.dumps({"currentVersionNumber": 3}).encode())
        else:
            self.answer(302, b"", Location="http://localhost/storage/archive.zip")

    def do_GET(self) -> None:
        asked = self.headers.get("Range", "")
        self.server.asked.append(f"archive {asked}".strip())
        begin = int(asked.removeprefix("bytes=").rstrip("-") or 0)
        content = self.server.archive[begin:]
        self.send_response(206 if begin else 200)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Accept-Ranges", "bytes")
        if self.server.checksum is not None:
            self.send_header("x-goog-hash", f"md5={b64encode(self.server.checksum).decode()}")
        self.end_headers()
        sent = 3 * len(content) // 4
        self.wfile.write(content[:sent])
        if midway := self.server.midway:
            self.server.midway = None
            midway()
        if not self.server.breaks_off:
            self.wfile.write(content[sent:])

    def answer(self, status: int, content: bytes, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("X-Kaggle-HubVersion", "99.0")
        self.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as it is called there
        """Say nothing."""


@pytest.fixture(autouse=True)
def kaggle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kaggle]:
    """A stand-in that holds the dataset tiny whole, and nothing of the user's own in reach."""
    server = Kaggle()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    for name in ("no_proxy", "NO_PROXY", "HTTP_PROXY", *SETTINGS):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KAGGLE_API_ENVIRONMENT", "LOCALHOST")
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(tmp_path / "home" / ".kaggle"))
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("fieldmark.datasets.PUBLISHED", (NATURAL_IMAGES, TINY))
    server.archive = packed(archive_of(TINY))
    yield server
    gc.collect(1)  # a connection that was left open is told of here, not in another test
    server.ended.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the photos are to go; neither it nor the one above is there yet."""
    return tmp_path / "place" / "photos"


def archive_of(dataset: Dataset, *, num_bytes: int = NUM_BYTES) -> Archive:
    """Return the files of a dataset's archive, each photo twice, with bytes that do not shrink."""
    generator = np.random.default_rng(0)
    photos = {
        f"{name}/{name}_{index:04d}.jpg": generator.bytes(num_bytes)
        for name, count in dataset.counts.items()
        for index in range(count)
    }
    places = (*dataset.copies, dataset.folder)
    return {f"{place}/{path}": content for place in places for path, content in photos.items()}


def packed(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, content in files.items():
            archive.writestr(path, content)
    return buffer.getvalue()


def files_in(folder: Path) -> Archive:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def photos_of(archive: Archive, place: str = TINY.folder) -> Archive:
    start = f"{place}/"
    return {
        path.removeprefix(start): content
        for path, content in archive.items()
        if path.startswith(start)
    }


def refused(folder: Path, *, name: str = "tiny") -> str:
    """Fetch, and return the message with which it ends; what was there before must be left."""
    before = files_in(folder.parent)
    is_there = folder.parent.exists()
    with pytest.raises(DataError) as refusal:
        workflow.fetch(name, folder)
    assert files_in(folder.parent) == before
    assert folder.parent.exists() == is_there
    return str(refusal.value)


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


# What is fetched


def test_one_copy_of_each_photo_lies_in_the_folder_of_its_class(
    folder: Path, kaggle: Kaggle, recorder: Any
) -> None:
    fetched = workflow.fetch("tiny", folder, progress=recorder)
    assert files_in(folder) == photos_of(archive_of(TINY))
    assert [path.name for path in folder.parent.iterdir()] == ["photos"]
    assert (fetched.folder, fetched.num_photos) == (folder, 7)
    assert (fetched.counts, fetched.differences) == ({"cat": 4, "dog": 3}, ())
    assert recorder.summaries == {
        "Download": "someone/tiny from Kaggle",
        "Photos": "7 of 2 classes",
    }
    assert recorder.notes == ["tiny, www.kaggle.com/datasets/someone/tiny. As its page says."]
    assert kaggle.asked == ["GetDataset someone/tiny", "DownloadDataset someone/tiny", "archive"]


def test_the_whole_of_natural_images_is_counted_and_nothing_else_is_printed(
    folder: Path, kaggle: Kaggle, monkeypatch: pytest.MonkeyPatch
) -> None:
    kaggle.archive = packed(archive_of(NATURAL_IMAGES, num_bytes=4))
    monkeypatch.setenv("KAGGLE_API_TOKEN", "right")  # with one, it tells of newer versions, too
    done = subprocess.run(
        [sys.executable, "-m", "fieldmark", "data", "natural-images", str(folder)],
        capture_output=True,
        text=True,
        timeout=DEFINITELY_ENOUGH_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"Photos      6,899 of 8 classes in {folder}",
        f"Try it      fieldmark train {folder} --recipe reference",
    ]
    assert [line.partition(":")[0] for line in done.stderr.splitlines()[1:]] == [
        "Download",
        "Photos",
    ]
    assert len(files_in(folder)) == 6899
    assert kaggle.asked[0] == "GetDataset prasunroy/natural-images"


def test_the_download_is_shown_in_percent_up_to_the_end(
    folder: Path, recorder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[tuple[int, str | None]] = []

    def advance(count: int = 1, *, detail: str | None = None) -> None:
        if "Photos" not in recorder.started:
            shown.append((count, detail))

    monkeypatch.setattr(recorder, "advance", advance)
    workflow.fetch("tiny", folder, progress=recorder)
    assert sum(count for count, _ in shown) == 100
    assert shown[-1][1] == "2.67MB of 2.67MB"


def test_a_folder_that_is_there_and_empty_is_filled(folder: Path) -> None:
    folder.mkdir(parents=True)
    inode = folder.stat().st_ino
    workflow.fetch("tiny", folder)
    assert files_in(folder) == photos_of(archive_of(TINY))
    assert folder.stat().st_ino == inode  # the very folder, as a mount point must be


def test_without_a_folder_one_of_the_name_is_made(
    call_main: CallMain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = call_main("data", "tiny")
    assert outcome.out.splitlines()[-1] == "Try it      fieldmark train tiny --recipe reference"
    assert len(files_in(tmp_path / "tiny")) == 7


def test_a_folder_that_holds_the_dataset_is_left_as_it_is_without_a_network(
    folder: Path, kaggle: Kaggle, snapshot: Any, recorder: Any
) -> None:
    workflow.fetch("tiny", folder)
    before, num_asked = snapshot(folder), len(kaggle.asked)
    assert workflow.fetch("tiny", folder, progress=recorder).num_photos == 7
    assert snapshot(folder) == before
    assert len(kaggle.asked) == num_asked
    assert recorder.notes == [f"{folder} holds tiny already."]


def test_a_second_folder_is_filled_from_the_cache(folder: Path, kaggle: Kaggle) -> None:
    for place in (folder, folder.with_name("again")):
        workflow.fetch("tiny", place)
        assert len(files_in(place)) == 7
    assert kaggle.asked.count("archive") == 1


def test_an_edited_photo_leaves_the_cache_as_it_was(folder: Path, tmp_path: Path) -> None:
    workflow.fetch("tiny", folder)
    with (folder / "cat" / "cat_0000.jpg").open("r+b") as photo:
        photo.write(b"edited")
    cached = files_in(tmp_path / "cache")
    assert not any(content.startswith(b"edited") for content in cached.values())


def test_files_that_are_no_photos_are_left_out(folder: Path, kaggle: Kaggle) -> None:
    more = {
        "cat/Thumbs.db": b"1",
        "cat/._cat_0000.jpg": b"2",
        "empty/readme.txt": b"3",
        "a.jpg": b"",
    }
    extra = {f"{TINY.folder}/{path}": content for path, content in more.items()}
    kaggle.archive = packed(archive_of(TINY) | extra)
    workflow.fetch("tiny", folder)
    assert files_in(folder) == photos_of(archive_of(TINY))


# Archives that are not as published


def test_an_archive_that_lacks_a_photo_is_refused_with_the_class_and_how_to_go_on(
    folder: Path, kaggle: Kaggle, tmp_path: Path
) -> None:
    archive = archive_of(TINY)
    del archive["tiny_images/cat/cat_0002.jpg"]
    kaggle.archive = packed(archive)
    message = refused(folder)
    assert "not what was published (cat has 3 photos instead of 4)" in message
    assert f"Delete {tmp_path / 'cache' / 'datasets' / 'someone' / 'tiny'} and run" in message
    assert "By hand: open www.kaggle.com/datasets/someone/tiny in a browser" in message
    # What it says to do, done.
    shutil.rmtree(tmp_path / "cache" / "datasets" / "someone" / "tiny")
    kaggle.archive = packed(archive_of(TINY))
    assert workflow.fetch("tiny", folder).num_photos == 7


def test_classes_that_are_missing_or_too_many_are_named(folder: Path, kaggle: Kaggle) -> None:
    renamed = {path.replace("dog", "tiger"): data for path, data in archive_of(TINY).items()}
    kaggle.archive = packed(renamed)
    message = refused(folder)
    assert "(dog has 0 photos instead of 3, tiger has 3 photos instead of 0)" in message


def test_an_archive_without_the_folder_is_refused(folder: Path, kaggle: Kaggle) -> None:
    kaggle.archive = packed({"elsewhere/cat/1.jpg": b"1"})
    assert "The archive of tiny has no folder tiny_images." in refused(folder)


def test_the_second_copy_is_taken_where_it_is_the_only_one(folder: Path, kaggle: Kaggle) -> None:
    kaggle.archive = packed(
        {path: data for path, data in archive_of(TINY).items() if path.startswith("data/")}
    )
    assert workflow.fetch("tiny", folder).differences == ()
    assert files_in(folder) == photos_of(archive_of(TINY))


def test_an_archive_without_a_second_copy_is_as_good(folder: Path, kaggle: Kaggle) -> None:
    photos = photos_of(archive_of(TINY))
    kaggle.archive = packed({f"tiny_images/{path}": data for path, data in photos.items()})
    assert workflow.fetch("tiny", folder).differences == ()
    assert files_in(folder) == photos


def test_a_second_copy_that_differs_is_told_and_the_first_is_taken(
    folder: Path, kaggle: Kaggle, recorder: Any
) -> None:
    archive = archive_of(TINY)
    del archive["data/tiny_images/cat/cat_0000.jpg"]
    archive["data/tiny_images/dog/more.jpg"] = b"more"
    archive["data/tiny_images/dog/dog_0001.jpg"] = b"shorter"
    kaggle.archive = packed(archive)
    fetched = workflow.fetch("tiny", folder, progress=recorder)
    (told,) = fetched.differences
    assert told == (
        "The archive holds the photos twice, and data/tiny_images differs: "
        "it lacks 1 photo of tiny_images (cat/cat_0000.jpg); "
        "it has 1 photo more (dog/more.jpg); "
        "it has 1 photo of another size (dog/dog_0001.jpg). Those of tiny_images were taken."
    )
    assert recorder.notes[1:] == [told]
    assert files_in(folder) == photos_of(archive)


# Downloads that fail


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (401, "Kaggle refused (status 401)"),
        (403, "Kaggle refused (status 403). A public dataset needs no account"),
        (404, "Kaggle has no such dataset any more (status 404)"),
        (429, "Kaggle was asked too often (status 429). Run it again in some minutes"),
        (503, "Kaggle answered with status 503. Run it again later"),
    ],
)
def test_an_answer_that_is_an_error_is_told_in_words(
    status: int, told: str, call_main: CallMain, folder: Path, kaggle: Kaggle
) -> None:
    kaggle.status = status
    outcome = call_main("data", "tiny", folder)
    assert (outcome.code, outcome.out) == (2, "")
    last = outcome.err.splitlines()[-1]
    assert last.startswith("fieldmark: someone/tiny could not be downloaded: ")
    assert told in last
    assert last.endswith(TINY.by_hand)
    assert "Traceback" not in outcome.err
    assert not folder.parent.exists()


def test_wrong_credentials_are_told_with_their_places(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAGGLE_API_TOKEN", "wrong")
    assert "renew or remove those in KAGGLE_API_TOKEN" in refused(folder)


def test_a_broken_file_of_credentials_is_named(folder: Path, tmp_path: Path) -> None:
    place = tmp_path / "home" / ".kaggle"
    place.mkdir(parents=True)
    (place / "kaggle.json").write_text("{")
    assert f"Invalid Kaggle credentials file at {place / 'kaggle.json'}" in refused(folder)


def test_without_a_network_it_ends_within_seconds_and_says_how_to_go_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    began = time.monotonic()
    message = refused(folder)
    assert time.monotonic() - began < DEFINITELY_ENOUGH_S / 4
    assert "Kaggle cannot be reached (Failed to establish a new connection: " in message
    assert "Connect to the network and run it again. By hand: open " in message
    assert "Errno" not in message


def test_a_host_that_never_answers_is_given_up(
    folder: Path, kaggle: Kaggle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fieldmark.kaggle.READ_S", 0.2)
    kaggle.is_silent = True
    began = time.monotonic()
    assert "Kaggle cannot be reached (Read timed out. (read timeout=0.2))" in refused(folder)
    assert time.monotonic() - began < DEFINITELY_ENOUGH_S / 4


def test_requests_of_others_have_no_time_limit_afterwards(folder: Path, kaggle: Kaggle) -> None:
    from requests import Session

    send = Session.send
    workflow.fetch("tiny", folder)
    kaggle.status = 404
    refused(folder.with_name("again"))
    assert Session.send is send


def test_a_download_that_broke_off_goes_on_where_it_stopped(folder: Path, kaggle: Kaggle) -> None:
    kaggle.breaks_off = True
    assert "the connection broke off. Run it again: it goes on where it stopped" in refused(folder)
    kaggle.breaks_off = False
    workflow.fetch("tiny", folder)
    assert files_in(folder) == photos_of(archive_of(TINY))
    assert kaggle.asked[-1].startswith("archive bytes=")


@pytest.mark.parametrize(
    ("content", "checksum", "told"),
    [
        (b"not an archive", None, "ValueError: Unsupported archive type"),
        (None, b"0" * 16, "DataCorruptionError: The X-Goog-Hash header"),
    ],
)
def test_a_damaged_archive_is_told_with_what_to_delete(
    content: bytes | None,
    checksum: bytes | None,
    told: str,
    folder: Path,
    kaggle: Kaggle,
    tmp_path: Path,
) -> None:
    whole = kaggle.archive
    kaggle.archive, kaggle.checksum = content or whole, checksum
    message = refused(folder)
    cached = tmp_path / "cache" / "datasets" / "someone" / "tiny"
    assert told in message
    assert f"if it is the archive that is damaged, delete {cached} first." in message
    shutil.rmtree(cached)
    kaggle.archive, kaggle.checksum = whole, md5(whole).digest()
    assert workflow.fetch("tiny", folder).num_photos == 7


def test_a_cache_that_cannot_be_written_is_named_with_its_setting(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path / "file" / "cache"))
    message = refused(folder)
    assert f"{tmp_path / 'file'}" in message
    assert "Not a directory. Put that right, or set KAGGLEHUB_CACHE" in message


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no full device")
def test_a_full_disk_of_the_cache_is_told_with_its_setting(folder: Path, tmp_path: Path) -> None:
    cached = tmp_path / "cache" / "datasets" / "someone" / "tiny"
    cached.mkdir(parents=True)
    (cached / "3.archive").symlink_to("/dev/full")
    assert f"no room is left in {cached}. Free some space, or set KAGGLEHUB_CACHE" in refused(
        folder
    )


def test_without_kagglehub_the_message_says_how_to_install_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    message = refused(folder)
    assert 'Install it: pip install "fieldmark[data]".' in message
    assert message.endswith(TINY.by_hand)


# Folders that cannot be used


def test_a_folder_that_holds_something_else_is_refused_before_anything_is_asked(
    folder: Path, kaggle: Kaggle
) -> None:
    (folder / "cat").mkdir(parents=True)
    (folder / "cat" / "mine.jpg").write_bytes(b"mine")
    assert "already holds something other than tiny, and nothing is ever" in refused(folder)
    assert kaggle.asked == []


def test_a_file_in_its_place_is_refused(folder: Path, kaggle: Kaggle) -> None:
    folder.parent.mkdir()
    folder.write_bytes(b"mine")
    assert f"{folder} is a file" in refused(folder)
    assert kaggle.asked == []


def test_a_place_that_cannot_be_written_is_told_before_anything_is_asked(
    tmp_path: Path, kaggle: Kaggle
) -> None:
    (tmp_path / "file").write_bytes(b"")
    message = refused(tmp_path / "file" / "photos")
    assert f"cannot be written to {tmp_path / 'file' / 'photos'}: Not a directory" in message
    assert kaggle.asked == []


@pytest.mark.parametrize("is_there", [False, True])
def test_a_disk_that_fills_up_leaves_nothing_behind(
    is_there: bool, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if is_there:
        folder.mkdir(parents=True)
    copy = shutil.copyfile
    copied: list[Path] = []

    def copy_until_full(source: Path, target: Path) -> None:
        if len(copied) == 5:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(source), None, str(target))
        copied.append(copy(source, target))

    monkeypatch.setattr("shutil.copyfile", copy_until_full)
    message = refused(folder)
    assert f"cannot be written to {folder}: No space left on device" in message
    assert "on a disk with room for them" in message
    assert folder.exists() == is_there


def test_a_folder_that_fills_while_the_download_runs_keeps_what_is_in_it(
    folder: Path, kaggle: Kaggle
) -> None:
    folder.mkdir(parents=True)

    def write_mine() -> None:
        (folder / "dog").mkdir()
        (folder / "dog" / "mine.jpg").write_bytes(b"mine")

    kaggle.midway = write_mine
    with pytest.raises(DataError, match="Directory not empty"):
        workflow.fetch("tiny", folder)
    assert files_in(folder) == {"dog/mine.jpg": b"mine"}
    assert [path.name for path in folder.iterdir()] == ["dog"]


# Interruptions


def test_an_interrupted_download_is_130_and_leaves_nothing_where_photos_should_be(
    call_main: CallMain, folder: Path, kaggle: Kaggle, tmp_path: Path
) -> None:
    partial = tmp_path / "cache" / "datasets" / "someone" / "tiny" / "3.archive"

    def interrupt() -> None:
        until = time.monotonic() + DEFINITELY_ENOUGH_S
        while not (partial.exists() and partial.stat().st_size) and time.monotonic() < until:
            time.sleep(0.01)
        _thread.interrupt_main()

    kaggle.midway = interrupt
    outcome = call_main("data", "tiny", folder)
    assert (outcome.code, outcome.out) == (130, "")
    assert outcome.err.splitlines()[-1] == (
        f"fieldmark: interrupted from the keyboard; nothing was written to {folder}. "
        "Run the same again: a download goes on where it stopped"
    )
    assert not folder.parent.exists()
    assert 0 < partial.stat().st_size < len(kaggle.archive)
    # What it says to do, done.
    assert call_main("data", "tiny", folder).code == 0
    assert kaggle.asked[-1].startswith("archive bytes=")
    assert files_in(folder) == photos_of(archive_of(TINY))


def test_an_interruption_while_photos_are_copied_leaves_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.mkdir(parents=True)

    def interrupt(source: Path, target: Path) -> None:
        raise Stopped("stopped by SIGTERM")

    monkeypatch.setattr("shutil.copyfile", interrupt)
    with pytest.raises(Stopped, match=f"stopped by SIGTERM; nothing was written to {folder}"):
        workflow.fetch("tiny", folder)
    assert list(folder.iterdir()) == []


# The command


@pytest.mark.parametrize("arguments", [(), ("--list",), ("tiny", "--list")])
def test_the_names_are_listed(arguments: tuple[str, ...], call_main: CallMain) -> None:
    outcome = call_main("data", *arguments)
    assert (outcome.code, outcome.err) == (0, "")
    assert "natural-images   6,899        8" in outcome.out
    assert NATURAL_IMAGES.licence in outcome.out


def test_an_unknown_name_is_2_with_the_nearest_one(call_main: CallMain, folder: Path) -> None:
    outcome = call_main("data", "natural-image", folder)
    assert (outcome.code, outcome.out) == (2, "")
    assert "Did you mean 'natural-images'? Allowed: natural-images, tiny." in outcome.err
