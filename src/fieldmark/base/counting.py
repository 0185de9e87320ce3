"""Numbers of things in words, the same in messages, in the terminal and on the pages.

In: numbers and nouns, or names. Out: text.
"""

from collections.abc import Sequence

SHOWN = 5
BILLION, MILLION = 1e9, 1e6


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return `"1 photo"` or `"1,234 photos"`; `plural` where an s does not make it."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def listed(items: Sequence[str], *, most: int = SHOWN) -> str:
    """Return the first items with commas between, and how many more there are."""
    more = len(items) - most
    return ", ".join(items[:most]) + (f" and {more:,} more" if more > 0 else "")


def rounded(number: int, *, million: str = " million", billion: str = " billion") -> str:
    """Return `"7.80 billion"`, `"277.3 million"`, or the number in full where it is below that."""
    if number >= BILLION - 0.05 * MILLION:  # which would be 1,000.0 million
        return f"{number / BILLION:,.2f}{billion}"
    return f"{number / MILLION:.1f}{million}" if number >= MILLION else f"{number:,}"
