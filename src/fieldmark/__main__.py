"""The entry point: runs the command line and turns what goes wrong into an exit code.

0 done; 1 a defect of Fieldmark; 2 bad input or usage, with a message; 130 interrupted.
"""

import sys

from fieldmark.base.errors import FieldmarkError

EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130


def main() -> None:
    """Run the command line; errors that the user can put right end in a message, not a trace."""
    from fieldmark.cli import app

    try:
        app()
    except FieldmarkError as error:
        print(f"fieldmark: {error}", file=sys.stderr)  # noqa: T201 - the last word to the user
        sys.exit(EXIT_BAD_INPUT)
    except KeyboardInterrupt:
        print("fieldmark: interrupted", file=sys.stderr)  # noqa: T201
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:
        # The reader went away, as `| head` does; there is nobody left to tell.
        sys.stderr.close()
        sys.exit(0)


if __name__ == "__main__":
    main()
