"""The bytes of one file that may be a photo, or why they are not had.

In: a path. Out: its content. What is no regular file, or too large to be a photo, is never opened:
a pipe would be waited for without end.
Not covered: decoding (`images`).
"""

import stat
from pathlib import Path

from fieldmark.data.formats import UnreadableImage

MAX_FILE_BYTES = 1 << 30
"""Above this a file is not read: twice the largest photo allowed, uncompressed."""


def read_photo(path: Path) -> bytes:
    """Return the content of a file.

    Raises:
        UnreadableImage: there is none, it is no regular file, it is larger than
            `MAX_FILE_BYTES`, or it cannot be read.
    """
    try:
        status = path.stat()
        _refuse(status.st_mode, num_bytes=status.st_size)
        return path.read_bytes()
    except OSError as error:
        raise UnreadableImage(f"cannot be read: {error.strerror or error}") from error
    except ValueError as error:  # a NUL in the name
        raise UnreadableImage(f"not a path of a file: {error}") from error


def _refuse(mode: int, *, num_bytes: int) -> None:
    if stat.S_ISDIR(mode):
        raise UnreadableImage("cannot be read: a folder, not a photo")
    if not stat.S_ISREG(mode):
        raise UnreadableImage("not a regular file")
    if num_bytes > MAX_FILE_BYTES:
        size = f"{num_bytes / 2**30:.1f} GiB"
        raise UnreadableImage(f"{size}, more than the 1 GiB allowed for one photo")
