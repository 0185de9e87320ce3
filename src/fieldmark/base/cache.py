"""The user's cache: what is slow to compute and can be computed again.

In: what a result depends on. Out: the result, from the cache or computed and kept.
Nothing in it is ever needed: a cache that cannot be read or written is done without.
Not covered: what is kept photo by photo: features (`models.features`), cues (`data.cue_cache`).
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from fieldmark._version import __version__
from fieldmark.base.errors import FieldmarkError
from fieldmark.base.files import write_json

Result = TypeVar("Result")

CACHE_VARIABLE = "FIELDMARK_CACHE"
"""Environment variable that names another folder for the cache."""


def cache_folder() -> Path:
    """Return the folder of the cache: FIELDMARK_CACHE, or `fieldmark` in the user's cache."""
    if chosen := os.environ.get(CACHE_VARIABLE):
        return Path(chosen).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "fieldmark"


def digest_of(depends_on: Mapping[str, Any]) -> str:
    """Return 32 hexadecimal digits that name plain JSON values, whatever their order of keys."""
    text = json.dumps(depends_on, sort_keys=True)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:32]


def remembered(
    name: str,
    depends_on: Mapping[str, Any],
    compute: Callable[[], dict[str, Any]],
    *,
    read: Callable[[dict[str, Any]], Result],
) -> Result:
    """Return a result, from the cache where the same was computed before.

    Args:
        name: of the kind of result; a folder of the cache.
        depends_on: plain JSON values that decide the result; Fieldmark's version is added.
        compute: gives the result as plain JSON values.
        read: makes the result of them. Where it cannot make anything of what was kept, it is
            computed anew.
    """
    key = digest_of({"fieldmark": __version__, **depends_on})
    path = cache_folder() / name / f"{key}.json"
    with contextlib.suppress(OSError, ValueError, TypeError, LookupError, FieldmarkError):
        return read(json.loads(path.read_text("utf-8")))
    computed = compute()
    with contextlib.suppress(OSError):
        write_json(path, computed)
    return read(computed)
