"""The entry point: runs the command line and turns what goes wrong into an exit code.

0 done; 1 a defect of Fieldmark; 2 bad input or usage, with a message; 130 interrupted, by Ctrl-C
or by the system, with what is saved and how to go on.
"""

import contextlib
import errno
import os
import sys
import traceback
from typing import NoReturn

from fieldmark.base.errors import FieldmarkError

EXIT_DEFECT = 1
EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130
"""128 and the number of the signal that Ctrl-C sends, as shells have it."""

REFUSALS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)
"""The system has no room or gives no permission: for its user to put right."""


def main() -> None:
    """Run the command line; errors that the user can put right end in a message, not a trace."""
    try:
        from fieldmark.cli import Interrupted, ReaderGone, app
    except KeyboardInterrupt:
        _exit(EXIT_INTERRUPTED, "interrupted")
    try:
        app()
    except FieldmarkError as error:
        _exit(EXIT_BAD_INPUT, str(error))
    except Interrupted as stop:
        _exit(EXIT_INTERRUPTED, str(stop))
    except ReaderGone:
        # Nobody is left to tell, as after `| head`; what is still buffered must go somewhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:  # noqa: BLE001 - the last stop of every error
        if isinstance(error, OSError) and error.errno in REFUSALS:
            place = f"{error.filename}: " if error.filename else ""
            _exit(EXIT_BAD_INPUT, f"{place}{error.strerror}. Free some space or change the place.")
        traceback.print_exc()
        _exit(
            EXIT_DEFECT,
            "this is a defect of Fieldmark, not of your photos or your command. "
            "Please report it together with the lines above.",
        )


def _exit(code: int, message: str) -> NoReturn:
    with contextlib.suppress(OSError):  # the terminal may be gone
        print(f"fieldmark: {message}", file=sys.stderr)  # noqa: T201 - the last word to the user
    sys.exit(code)


if __name__ == "__main__":
    main()
