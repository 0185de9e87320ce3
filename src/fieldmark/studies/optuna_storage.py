"""The door to Optuna: a search's settings and scores in a storage that it knows.

In: the URL of a storage, and a name. Out: Optuna's study of that name.
Optuna is an extra; it is imported where a search needs it. Not covered: what is asked and told
(see `search`).
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fieldmark.base.errors import RecipeError, RunError
from fieldmark.studies.space import Factor, Range, text_of

if TYPE_CHECKING:
    import optuna

MISSING = (
    "A search goes by Optuna, which is not installed. Install it with "
    "pip install 'fieldmark[study]', or name values instead of --search, such as "
    "--vary optim.lr=1e-4,1e-3."
)
FILE = "search.sqlite"
PASSWORD = re.compile(r"(?<=://)([^/@:]*):[^/@]*(?=@)")
DIGITS = 4
"""Significant digits of a number that is drawn: finer differences mean nothing, and a recipe with
them is hard to read."""


def require_optuna() -> None:
    """Refuse to search without Optuna.

    Raises:
        RecipeError: it is not installed; the message says how to get it.
    """
    try:
        import optuna
    except ImportError as error:
        raise RecipeError(MISSING) from error
    # Its own lines would stand among those of the progress.
    optuna.logging.set_verbosity(optuna.logging.WARNING)


def local_storage(folder: Path) -> str:
    """Return the URL of the SQLite file in a folder, for one machine."""
    return f"sqlite:///{(folder / FILE).resolve()}"


def without_password(url: str) -> str:
    """Return a storage's URL as it may be shown and written down."""
    return PASSWORD.sub(r"\1:***", url)


@lru_cache(maxsize=4)
def open_study(url: str, name: str) -> "optuna.Study":
    """Return the study of a name, made where there is none; the highest score is the best.

    Raises:
        RecipeError: Optuna is not installed.
        RunError: the storage cannot be used.
    """
    require_optuna()
    import optuna

    with told(url):
        return optuna.create_study(
            storage=_opened(url), study_name=name, direction="maximize", load_if_exists=True
        )


@lru_cache(maxsize=4)
def _opened(url: str) -> "optuna.storages.BaseStorage":
    import optuna

    return optuna.storages.get_storage(url)


def forget_storages() -> None:
    """Drop the studies that are kept open: a file may have been removed, and another be there."""
    open_study.cache_clear()
    _opened.cache_clear()


@contextmanager
def told(url: str) -> Iterator[None]:
    """Say in plain words what is wrong with a storage.

    Raises:
        RunError: out of the block, where Optuna or the database below it fails.
    """
    from optuna.exceptions import OptunaError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (OptunaError, SQLAlchemyError, ImportError, OSError) as error:
        reason = str(getattr(error, "orig", None) or error.__cause__ or error).strip()
        raise RunError(
            f"The storage {without_password(url)}, which holds the search, cannot be used: "
            f"{without_password(reason.splitlines()[0] if reason else type(error).__name__)}. See "
            "that it can be reached, that its driver is installed, and that --storage is a URL "
            "such as postgresql://user:password@host/database."
        ) from error


def distributions(
    factors: tuple[Factor, ...], ranges: tuple[Range, ...]
) -> "dict[str, optuna.distributions.BaseDistribution]":
    """Return what each field is drawn from; the values of a factor stand in for it as text."""
    from optuna import distributions as kinds

    drawn: dict[str, kinds.BaseDistribution] = {}
    for factor in factors:
        drawn[factor.key] = kinds.CategoricalDistribution([text_of(v) for v in factor.values])
    for span in ranges:
        if span.is_whole:
            ends = int(span.low), int(span.high)
            drawn[span.key] = kinds.IntDistribution(*ends, log=span.is_log)
        else:
            drawn[span.key] = kinds.FloatDistribution(span.low, span.high, log=span.is_log)
    return drawn


def settings_drawn(
    params: Mapping[str, Any], factors: tuple[Factor, ...], ranges: tuple[Range, ...]
) -> dict[str, Any]:
    """Return what was drawn as settings of a trial, numbers to four significant digits."""
    values: dict[str, Any] = {}
    for factor in factors:
        by_text = {text_of(value): value for value in factor.values}
        values[factor.key] = by_text[params[factor.key]]
    for span in ranges:
        value = params[span.key]
        if not span.is_whole:
            value = min(span.high, max(span.low, float(f"{value:.{DIGITS}g}")))
        values[span.key] = value
    return values
