"""What the terminal says of a server."""

from pathlib import Path

from fieldmark.base.errors import ServeError

MAX_TOKEN_BYTES = 4096


def ready(model: Path, address: str) -> str:
    """Return where a server can be reached, and how to end it."""
    return f"Serving {model} at {address}\nPress Ctrl-C to stop."


def token_in(file: Path) -> str:
    """Return the token in a file, without spaces and line ends around it.

    Raises:
        ServeError: it cannot be read, or is empty.
    """
    try:
        with file.open(encoding="ascii") as stream:
            token = stream.read(MAX_TOKEN_BYTES).strip()
    except (OSError, UnicodeError) as error:
        raise ServeError(
            f"--token-file {file} cannot be read: {getattr(error, 'strerror', None) or error}."
        ) from error
    if not token:
        raise ServeError(f"--token-file {file} is empty. Put a long random token in it.")
    return token
