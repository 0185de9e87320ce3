"""A tree of frozen dataclasses as plain JSON values, and back.

In: dataclasses of numbers, strings, tuples, mappings and further dataclasses. Out: what `json`
writes, and from it the same tree, each value checked against its type hint.
Not covered: schema versions, and unions other than `X | None`.
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from fieldmark.base.errors import RunError

Document = TypeVar("Document")


def read_document(path: Path, parse: Callable[..., Document]) -> Document | None:
    """Read a JSON file; None where there is no such file.

    Args:
        path: the file.
        parse: makes the document of its content; also given the file's name, as `where`.

    Raises:
        RunError: it cannot be read or is not JSON; also what `parse` raises.
    """
    try:
        content = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read: {error}. Run the command again.") from error
    return parse(content, where=str(path))


def to_plain(value: object) -> Any:
    """Return a dataclass as a dict, a mapping with string keys, a tuple as a list."""
    if is_dataclass(value):
        return {field.name: to_plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_plain(entry) for key, entry in value.items()}
    if isinstance(value, tuple):
        return [to_plain(entry) for entry in value]
    return value


def from_plain(kind: Any, plain: object, *, where: str) -> Any:
    """Return `plain` as the type `kind`.

    Args:
        kind: a dataclass, `tuple[X, ...]`, `Mapping[str | int, X]`, `X | None`, float, int or str.
        plain: what `to_plain` made. Unknown keys of a dataclass are ignored.
        where: what `plain` is, for messages, as in `evaluation.json`.

    Raises:
        RunError: if a field is missing or a value does not fit its type; the message names it.
    """
    if isinstance(kind, UnionType):
        (present,) = (option for option in get_args(kind) if option is not NoneType)
        return None if plain is None else from_plain(present, plain, where=where)
    if get_origin(kind) is tuple:
        entries = _of_type(list, plain, where=where)
        (inner, _) = get_args(kind)
        return tuple(
            from_plain(inner, entry, where=f"{where}[{place}]")
            for place, entry in enumerate(entries)
        )
    if get_origin(kind) is Mapping:
        return _mapping(kind, _of_type(dict, plain, where=where), where=where)
    if is_dataclass(kind):
        return _dataclass(kind, _of_type(dict, plain, where=where), where=where)
    return _number_or_text(kind, plain, where=where)


def _mapping(kind: Any, plain: Mapping[str, object], *, where: str) -> dict[Any, Any]:
    key_kind, inner = get_args(kind)
    try:
        keys = [key_kind(key) for key in plain]
    except ValueError as error:
        raise RunError(f"{where}: the keys must be whole numbers: {error}") from error
    values = [from_plain(inner, entry, where=f"{where}.{key}") for key, entry in plain.items()]
    return dict(zip(keys, values, strict=True))


def _dataclass(kind: Any, plain: Mapping[str, object], *, where: str) -> Any:
    hints = get_type_hints(kind)
    names = [field.name for field in fields(kind)]
    missing = [name for name in names if name not in plain]
    if missing:
        raise RunError(f"{where}: there is no {', '.join(missing)}")
    values = {name: from_plain(hints[name], plain[name], where=f"{where}.{name}") for name in names}
    try:
        return kind(**values)
    except ValueError as error:
        raise RunError(f"{where}: {error}") from error


def _number_or_text(kind: type, plain: object, *, where: str) -> Any:
    if kind is float and isinstance(plain, int) and not isinstance(plain, bool):
        plain = float(plain)
    value = _of_type(kind, plain, where=where)
    if isinstance(value, float) and not math.isfinite(value):
        raise RunError(f"{where}: must be finite, met {value}")
    return value


def _of_type(kind: type, plain: object, *, where: str) -> Any:
    if not isinstance(plain, kind) or isinstance(plain, bool):
        raise RunError(f"{where}: expected {kind.__name__}, met {plain!r:.80}")
    return plain
