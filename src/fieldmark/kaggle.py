"""The only door to kagglehub, Kaggle's own client: a dataset by its handle.

In: a handle such as `prasunroy/natural-images`. Out: the folder in kagglehub's cache that holds
its files. kagglehub keeps what it has downloaded, goes on with a download that broke off, and
needs no account where a dataset is public.
Not covered: what the files are.
"""

import contextlib
import errno
import io
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fieldmark.base.errors import DataError
from fieldmark.base.progress import Progress

CONNECT_S = 5.0
"""Seconds that Kaggle may take to answer at all."""
READ_S = 15.0
"""Seconds that it may take to send more. Both are kagglehub's own, where it sets any limit."""

_BAR = re.compile(r"(\d+)%\|[^|]*\| *(\S+)/(\S+)")
"""Percent, bytes so far and bytes in all of a bar such as `40%|###  | 2.0M/5.0M [00:01...`."""

_ERRNO = re.compile(r"\[Errno -?\d+\] ")
_TAIL = re.compile(r"[\"']\)+$")
"""What closes an error that is shown within another."""

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_REFUSED = (401, 403)
_GONE = 404
_TOO_MANY = 429


def download(handle: str, *, progress: Progress) -> Path:
    """Return the folder of a dataset's files, downloading them if they are not there already.

    Nothing is printed. Within seconds of silence from Kaggle this gives up.

    Args:
        handle: owner and name of the dataset, with a slash between.
        progress: shows the stage "Download", in percent of the archive's bytes.

    Raises:
        DataError: kagglehub is not installed, Kaggle cannot be reached or refuses, what came is
            damaged, or there is no room for it; the message says what to do.
    """
    kagglehub = _client()
    progress.start("Download", total=100, unit="%")
    try:
        with _silenced(_Bar(progress)), _bounded():
            folder = Path(kagglehub.dataset_download(handle))
    except Exception as error:
        raise DataError(f"{handle} could not be downloaded: {_told(error, handle)}") from error
    progress.finish(f"{handle} from Kaggle")
    return folder


def cached(handle: str) -> Path:
    """Return where kagglehub keeps a dataset; deleting it makes the next download a fresh one."""
    from kagglehub.config import get_cache_folder

    return Path(get_cache_folder(), "datasets", *handle.split("/"))


def _client() -> Any:
    try:
        import kagglehub
    except ImportError as error:
        raise DataError(
            "Downloading needs kagglehub, the client of Kaggle, which is not installed "
            f'({error}). Install it: pip install "fieldmark[data]".'
        ) from error
    return kagglehub


class _Bar(io.TextIOBase):
    """Takes the text by which kagglehub shows its progress, and hands on how far it is."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._percent = 0

    def write(self, text: str, /) -> int:
        for match in _BAR.finditer(text):
            percent, done, total = int(match[1]), match[2], match[3]
            self._progress.advance(percent - self._percent, detail=f"{done}B of {total}B")
            self._percent = percent
        return len(text)


@contextmanager
def _silenced(bar: _Bar) -> Iterator[None]:
    """Within the block kagglehub writes to `bar`, not between the results and the progress."""
    logger = logging.getLogger("kagglehub")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with contextlib.redirect_stdout(bar), contextlib.redirect_stderr(bar):
            yield
    finally:
        logger.setLevel(level)


@contextmanager
def _bounded() -> Iterator[None]:
    """Within the block, requests without a time limit get one; at its end all are closed.

    A network that swallows what is sent would otherwise hold a person for minutes, or for good:
    kagglehub's questions have no limit and it has no setting for one. What it was reading when
    something went wrong it leaves open.
    """
    from requests import Session

    send = Session.send
    responses = []

    def send_bounded(session: Session, request: Any, **options: Any) -> Any:
        options["timeout"] = options.get("timeout") or (CONNECT_S, READ_S)
        responses.append(send(session, request, **options))
        return responses[-1]

    Session.send = send_bounded
    try:
        yield
    finally:
        Session.send = send
        for response in responses:
            response.close()


def _told(error: Exception, handle: str) -> str:
    """Return as sentences what went wrong and what to do about it."""
    from requests import RequestException
    from requests.exceptions import ChunkedEncodingError

    response = getattr(error, "response", None)
    if (status := getattr(response, "status_code", None)) is not None:
        return _told_of_status(int(status))
    if isinstance(error, ChunkedEncodingError):
        return "the connection broke off. Run it again: it goes on where it stopped."
    if isinstance(error, RequestException):
        return (
            f"Kaggle cannot be reached ({_cause(error)}). Connect to the network and run it again."
        )
    if isinstance(error, OSError) and error.errno is not None:
        return _told_of_system(error, handle)
    return (
        f"{type(error).__name__}: {_first_line(error)}. Put that right and run it again; if it is "
        f"the archive that is damaged, delete {cached(handle)} first."
    )


def _told_of_status(status: int) -> str:
    if status in _REFUSED:
        return (
            f"Kaggle refused (status {status}). A public dataset needs no account, but credentials "
            "that are there must be right: renew or remove those in KAGGLE_API_TOKEN, in "
            "KAGGLE_USERNAME and KAGGLE_KEY, and in the folder .kaggle of your home."
        )
    if status == _GONE:
        return f"Kaggle has no such dataset any more (status {status})."
    if status == _TOO_MANY:
        return f"Kaggle was asked too often (status {status}). Run it again in some minutes."
    return f"Kaggle answered with status {status}. Run it again later."


def _told_of_system(error: OSError, handle: str) -> str:
    place = cached(handle)
    if error.errno in _NO_ROOM:
        return (
            f"no room is left in {place}. Free some space, or set KAGGLEHUB_CACHE to a folder on "
            "another disk, and run it again."
        )
    return (
        f"{error.filename or place}: {error.strerror}. Put that right, or set KAGGLEHUB_CACHE to "
        "a folder that you may write to, and run it again."
    )


def _cause(error: Exception) -> str:
    """Return what is at the bottom of an error of requests, without the connection's description.

    Such as `Failed to resolve 'api.kaggle.com' (Name or service not known)`.
    """
    inner = error.args[0] if error.args else error
    text = _first_line(getattr(inner, "reason", None) or inner)
    return _TAIL.sub("", text.partition("): ")[2] or text)


def _first_line(error: object) -> str:
    lines = _ERRNO.sub("", str(error)).strip().splitlines() or [type(error).__name__]
    return lines[0].rstrip(".")
