"""What a study varies: recipe fields with a few values each, or ranges to search.

In: text such as `optim.lr=1e-4,3e-4` or `optim.lr=1e-5..1e-2:log`. Out: a `Factor` or a `Range`.
Not covered: whether a recipe takes the values (see `study.basis`).
"""

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fieldmark.base.errors import RecipeError

LOG = "log"
SPAN = ".."
OPENING, CLOSING, QUOTES = "[{", "]}", "\"'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Factor:
    """A recipe field and the values that it takes, in the order given."""

    key: str
    """`section.field`, such as "optim.lr"."""
    values: tuple[Any, ...]
    """Two or more different plain values (numbers, texts, true or false, tuples of these); the
    text "none" leaves a field to be derived."""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {"key": self.key, "values": list(self.values)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Factor":
        """Return what `to_json` wrote."""
        return cls(key=content["key"], values=tuple(map(plain, content["values"])))


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """A recipe field and the numbers that a search may give it, both ends included."""

    key: str
    low: float
    high: float
    is_log: bool
    """Drawn evenly in the logarithm; both ends are then over 0."""
    is_whole: bool
    """Whole numbers only: both ends are written without a point or an exponent."""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "key": self.key,
            "low": self.low,
            "high": self.high,
            "is_log": self.is_log,
            "is_whole": self.is_whole,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Range":
        """Return what `to_json` wrote."""
        return cls(**content)


def parse_vary(text: str) -> Factor:
    """Return the factor that `section.field=value,value,...` names.

    Each value is read as TOML (`5`, `1e-3`, `true`, `[0.5, 1.0]`), and as plain text where it is
    none.

    Raises:
        RecipeError: it is not of that form, has fewer than two values, or one of them twice.
    """
    key, values_text = _halves(text, flag="--vary")
    if SPAN in values_text:
        raise RecipeError(
            f"'--vary {text}' is a range, which --search N explores. Name values, such as "
            f"--vary {key}=1e-4,1e-3, or add --search 30."
        )
    return _factor(key, values_text, flag="--vary", text=text)


def parse_range(text: str) -> Factor | Range:
    """Return what a search explores: `section.field=low..high[:log]`, or a list as a `Factor`.

    Raises:
        RecipeError: it is neither, or the ends of the range are not in order or not over 0 with
            `:log`.
    """
    key, values_text = _halves(text, flag="--vary")
    low_text, span, rest = values_text.partition(SPAN)
    if not span:
        return _factor(key, values_text, flag="--vary", text=text)
    high_text, colon, scale = rest.partition(":")
    ends = (_number(low_text), _number(high_text))
    if None in ends or (colon and scale.strip() != LOG):
        raise RecipeError(
            f"'--vary {text}' is not of the form section.field=low..high or low..high:log, "
            "such as --vary optim.lr=1e-5..1e-2:log."
        )
    low, high = (float(end) for end in ends if end is not None)
    if not low < high or (colon and low <= 0):
        over = " and over 0, since ':log' draws evenly in the logarithm" if colon else ""
        raise RecipeError(
            f"'--vary {text}' runs from {low:g} to {high:g}; the first must be below the "
            f"second{over}."
        )
    is_whole = all(isinstance(end, int) for end in ends)
    return Range(key=key, low=low, high=high, is_log=bool(colon), is_whole=is_whole)


def text_of(value: Any) -> str:
    """Return a value as people write it in a recipe, and as `--set` reads it: `0.001`, `sgd`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.6g}" if float(f"{value:.6g}") == value else repr(value)
    if isinstance(value, tuple | list):
        return "[" + ", ".join(_quoted(item) for item in value) + "]"
    return "none" if value is None else str(value)


def plain(value: Any) -> Any:
    """Return a value read from JSON as a factor holds it: lists as tuples."""
    return tuple(map(plain, value)) if isinstance(value, list) else value


def _quoted(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else text_of(value)


def _halves(text: str, *, flag: str) -> tuple[str, str]:
    key, equals, values = text.partition("=")
    section, dot, field = key.strip().partition(".")
    if not (equals and dot and section and field and values.strip()):
        raise RecipeError(
            f"'{flag} {text}' is not of the form section.field=value,value, such as "
            f"{flag} optim.lr=1e-4,1e-3."
        )
    return key.strip(), values.strip()


def _factor(key: str, values_text: str, *, flag: str, text: str) -> Factor:
    values = tuple(_value(part) for part in _parts(values_text))
    if len(values) < 2:
        raise RecipeError(
            f"'{flag} {text}' has one value, and nothing can be compared with it. Give two or "
            f"more, such as {flag} {key}={text_of(values[0])},..., or set it with --set."
        )
    for place, value in enumerate(values):
        if value in values[:place]:
            raise RecipeError(f"'{flag} {text}' names {text_of(value)} twice. Leave one of it.")
    return Factor(key=key, values=values)


def _parts(text: str) -> list[str]:
    """Split at the commas that stand outside brackets and quotes."""
    parts, depth, quote = [""], 0, ""
    for letter in text:
        if quote:
            quote = "" if letter == quote else quote
        elif letter in QUOTES:
            quote = letter
        elif letter in OPENING + CLOSING:
            depth += 1 if letter in OPENING else -1
        elif letter == "," and depth == 0:
            parts.append("")
            continue
        parts[-1] += letter
    return [part.strip() for part in parts if part.strip()]


def _value(text: str) -> Any:
    try:
        return plain(tomllib.loads(f"value = {text}")["value"])
    except tomllib.TOMLDecodeError:
        return text


def _number(text: str) -> int | float | None:
    value = _value(text.strip())
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if is_number and math.isfinite(value) else None
