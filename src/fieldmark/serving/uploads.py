"""The photos of a request: from its body, never larger than is allowed, to files.

In: a request. Out: its body as bytes, and the files in it. Nothing is written to disk, and nothing
is ever fetched for a client: an address in a form is a field like any other, and is passed over.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from fieldmark.serving.refusals import Refused, busy

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

MULTIPART = "multipart/form-data"
BODY_TIMEOUT_S = 60.0
"""Seconds in which a body must have arrived."""
BODIES_HELD = 8
"""Bodies of the largest size that may be in memory at a time, smaller ones in proportion."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that was sent."""

    name: str | None
    """What the client calls it; None where the body is the file itself."""
    content: bytes


class Bodies:
    """Reads bodies, and bounds how many bytes of them are in memory."""

    def __init__(self, *, max_bytes: int, timeout_s: float = BODY_TIMEOUT_S) -> None:
        """Allow `max_bytes` for each, and `BODIES_HELD` times that for all together."""
        self._max_bytes = max_bytes
        self._timeout_s = timeout_s
        self._num_held = 0

    @asynccontextmanager
    async def read(self, request: Request) -> AsyncGenerator[bytes]:
        """Yield the body of a request; its bytes count as held until the block ends.

        Raises:
            Refused: it is too large (413), too slow (408), or too many are being read (503).
        """
        _check_length(request, max_bytes=self._max_bytes)
        chunks: list[bytes] = []
        held = _Held()
        try:
            with _told(self._timeout_s):
                async with asyncio.timeout(self._timeout_s):
                    async for chunk in request.stream():
                        self._num_held += len(chunk)
                        held.num_bytes += len(chunk)
                        chunks.append(chunk)
                        self._check(held)
            body = b"".join(chunks)
            chunks.clear()
            yield body
        finally:
            self._num_held -= held.num_bytes

    def _check(self, held: "_Held") -> None:
        if held.num_bytes > self._max_bytes:
            raise _too_large(self._max_bytes)
        if self._num_held > BODIES_HELD * self._max_bytes:
            raise busy(1.0)


@dataclass(slots=True)
class _Held:
    """How much of one body has arrived."""

    num_bytes: int = 0


@contextmanager
def _told(timeout_s: float) -> Iterator[None]:
    """Say why a body did not arrive."""
    try:
        yield
    except TimeoutError as error:
        raise Refused(
            408, f"The body did not arrive within {timeout_s:.0f} s. Send it again."
        ) from error
    except ClientDisconnect as error:
        raise Refused(400, "The connection was closed before the body had arrived.") from error


def files_of(content_type: str, body: bytes, *, max_files: int) -> list[Upload]:
    """Return the files of a body: those of a form, or else the body as the one file.

    Raises:
        Refused: it is a form that cannot be read or holds no file (400), or too many (413).
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind != MULTIPART:
        return [Upload(None, body)]
    _, options = parse_options_header(content_type.encode("latin-1", "replace"))
    boundary = options.get(b"boundary")
    if not boundary:
        raise Refused(400, f"The content type {MULTIPART} must name its boundary.")
    form = _Form(max_files=max_files)
    try:
        parser = MultipartParser(boundary, form.callbacks())
        parser.write(body)
        parser.finalize()
    except (FormParserError, UnicodeError, LookupError) as error:
        raise Refused(400, f"The form cannot be read: {error}.") from error
    if not form.is_complete:
        raise Refused(400, "The form breaks off before its end.")
    if not form.files:
        raise Refused(400, "The form holds no file. Give at least one photo, as a file.")
    return form.files


@dataclass(slots=True)
class _Form:
    """Collects the files of a form as its parser comes across them."""

    max_files: int
    files: list[Upload] = field(default_factory=list)
    is_complete: bool = False
    _header: bytearray = field(default_factory=bytearray)
    _value: bytearray = field(default_factory=bytearray)
    _disposition: bytes = b""
    _content: bytearray = field(default_factory=bytearray)

    def callbacks(self) -> "MultipartCallbacks":
        """Return what the parser calls."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._add_header,
            "on_header_value": self._add_value,
            "on_header_end": self._end_header,
            "on_part_data": self._add_content,
            "on_part_end": self._end,
            "on_end": self._complete,
        }

    def _begin(self) -> None:
        self._disposition = b""
        self._content = bytearray()

    def _add_header(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _add_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        if bytes(self._header).lower() == b"content-disposition":
            self._disposition = bytes(self._value)
        self._header, self._value = bytearray(), bytearray()

    def _add_content(self, data: bytes, start: int, end: int) -> None:
        self._content += data[start:end]

    def _end(self) -> None:
        _, options = parse_options_header(self._disposition)
        name = options.get(b"filename")
        if name is None:
            return
        if len(self.files) >= self.max_files:
            raise Refused(
                413, f"The form holds more than the {self.max_files:,} photos that are allowed."
            )
        self.files.append(Upload(name.decode("utf-8", "replace"), bytes(self._content)))

    def _complete(self) -> None:
        self.is_complete = True


def _check_length(request: Request, *, max_bytes: int) -> None:
    given = request.headers.get("content-length", "")
    if given.isascii() and given.isdigit() and int(given[:20]) > max_bytes:
        raise _too_large(max_bytes)


def _too_large(max_bytes: int) -> Refused:
    return Refused(413, f"The body is larger than the {max_bytes:,} bytes that are allowed.")
