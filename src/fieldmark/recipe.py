"""The recipe: the configuration of all stages together, in and out of TOML.

In: a recipe's name or file, and `section.key=value` overrides. Out: a checked `Recipe`.
Unknown keys are refused with the nearest spelling. Each section's config stands beside the code
that it configures; here they are only gathered.
"""

import sys
import tomllib
import types
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from importlib import resources
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

import tomli_w

from fieldmark.audit.config import AuditConfig
from fieldmark.base.errors import RecipeError, nearest_spelling
from fieldmark.data.augment import AugmentConfig
from fieldmark.data.preprocess import DataConfig
from fieldmark.data.splits import SplitConfig
from fieldmark.evaluation.abstention import AbstainConfig
from fieldmark.models.backbones import ModelConfig
from fieldmark.training.config import TrainConfig
from fieldmark.training.optim import OptimConfig
from fieldmark.training.probe import ProbeConfig

SCHEMA_VERSION = 1
BUILT_IN = ("quick", "finetune", "scratch", "reference", "digits")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """All sections; every field has a default, so that a file need only name what it changes."""

    name: str = "custom"
    data: DataConfig = field(default_factory=DataConfig)
    split: SplitConfig = field(default_factory=SplitConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    probe: ProbeConfig = field(default_factory=ProbeConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    audit: AuditConfig = field(default_factory=AuditConfig)
    abstain: AbstainConfig = field(default_factory=AbstainConfig)


def load_recipe(name_or_path: str) -> Recipe:
    """Return a built-in recipe by name, or the one in a TOML file.

    Raises:
        RecipeError: there is no such recipe, or it holds what is not allowed.
    """
    if name_or_path in BUILT_IN:
        text = (resources.files("fieldmark") / "recipes" / f"{name_or_path}.toml").read_text(
            "utf-8"
        )
        return _parse(text, name=name_or_path, where=f"recipe '{name_or_path}'")
    path = Path(name_or_path).expanduser()
    if path.suffix != ".toml" and not path.exists():
        hint = nearest_spelling(name_or_path, BUILT_IN)
        raise RecipeError(
            f"There is no recipe '{name_or_path}'.{hint} Allowed: {', '.join(BUILT_IN)}, "
            "or the path of a .toml file."
        )
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise RecipeError(f"The recipe {path} is not UTF-8 text: {error}.") from error
    except OSError as error:
        raise RecipeError(f"The recipe {path} cannot be read: {error.strerror}.") from error
    return _parse(text, name=path.stem, where=str(path))


def override(recipe: Recipe, assignments: Sequence[str]) -> Recipe:
    """Return the recipe with `section.key=value` assignments applied together.

    A value is read as TOML (`5`, `1e-3`, `true`, `[0.5, 1.0]`), and as plain text where it is none;
    "none" leaves a field to be derived where it may be. Of two for the same key the last counts.

    Raises:
        RecipeError: an assignment is malformed, its key unknown or its value not allowed.
    """
    changes: dict[str, dict[str, Any]] = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        section, dot, name = key.strip().partition(".")
        if not (equals and dot and section and name):
            raise RecipeError(
                f"'--set {assignment}' is not of the form section.key=value, "
                "such as --set train.epochs=5."
            )
        changes.setdefault(section, {})[name] = _value(text.strip())
    return _apply(recipe, changes, where="--set")


def recipe_toml(recipe: Recipe) -> str:
    """Return the recipe as TOML; fields left to be derived are not written."""
    return tomli_w.dumps({"schema_version": SCHEMA_VERSION, **recipe_tables(recipe)})


def recipe_tables(recipe: Recipe) -> dict[str, Any]:
    """Return the recipe as nested plain values without the fields that are None."""
    return {
        section.name: _without_none(asdict(getattr(recipe, section.name)))
        for section in fields(recipe)
        if section.name != "name"
    }


def recipe_of_tables(tables: Mapping[str, Any], *, name: str, where: str) -> Recipe:
    """Return the recipe that `recipe_tables` gave, also after a way through JSON.

    Args:
        tables: nested plain values.
        name: of the recipe.
        where: they come from, for messages.

    Raises:
        RecipeError: a key is unknown, or its value not allowed.
    """
    return _apply(Recipe(name=name), tables, where=where)


def _parse(text: str, *, name: str, where: str) -> Recipe:
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{where} is not valid TOML: {error}.") from error
    version = content.pop("schema_version", SCHEMA_VERSION)
    if not isinstance(version, int) or version > SCHEMA_VERSION:
        raise RecipeError(
            f"{where} has schema version {version}; this Fieldmark reads up to {SCHEMA_VERSION}. "
            "Install a newer Fieldmark."
        )
    content.pop("reasons", None)
    return _apply(Recipe(name=name), content, where=where)


def _apply(recipe: Recipe, content: Mapping[str, Any], *, where: str) -> Recipe:
    sections = [section.name for section in fields(recipe) if section.name != "name"]
    for section, values in content.items():
        if section not in sections:
            hint = nearest_spelling(section, sections)
            raise RecipeError(
                f"{where}: there is no section '{section}'.{hint} Allowed: {', '.join(sections)}."
            )
        if not isinstance(values, Mapping):
            raise RecipeError(f"{where}: '{section}' must be a table of keys and values.")
        changed = _changed(getattr(recipe, section), values, section=section, where=where)
        recipe = replace(recipe, **{section: changed})
    return recipe


def _changed(config: Any, values: Mapping[str, Any], *, section: str, where: str) -> Any:
    hints = get_type_hints(type(config))
    converted = {}
    for key, value in values.items():
        if key not in hints:
            hint = nearest_spelling(key, hints)
            raise RecipeError(
                f"{where}: there is no '{section}.{key}'.{hint} "
                f"Allowed in [{section}]: {', '.join(hints)}."
            )
        converted[key] = _converted(value, hints[key], name=f"{section}.{key}", where=where)
    try:
        return replace(config, **converted)
    except RecipeError as error:
        raise RecipeError(f"{where}: {error}") from error


def _converted(value: Any, hint: Any, *, name: str, where: str) -> Any:
    options = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    for option in options:
        if _fits(value, option):
            return _as(value, option)
    allowed = " or ".join(_in_words(option) for option in options)
    raise RecipeError(f"{where}: {name} is {value!r}; allowed: {allowed}.")


def _fits(value: Any, option: Any) -> bool:
    origin = get_origin(option) or option
    if option is types.NoneType:
        return isinstance(value, str) and value == "none"
    if option is float:
        # Neither nan nor inf, which TOML has, nor a whole number that no float can hold.
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return is_number and abs(value) <= sys.float_info.max
    if option is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if origin is tuple:
        inner = _of_each(option, value)
        return (
            isinstance(value, list | tuple)
            and len(value) == len(inner)
            and all(_fits(item, kind) for item, kind in zip(value, inner, strict=True))
        )
    if origin is Mapping or (isinstance(origin, type) and issubclass(origin, Mapping)):
        return isinstance(value, Mapping)
    if isinstance(origin, type):
        return isinstance(value, origin)
    return value in get_args(option)


def _as(value: Any, option: Any) -> Any:
    if option is types.NoneType:
        return None
    if option is float:
        return float(value)
    if get_origin(option) is tuple:
        inner = _of_each(option, value)
        return tuple(_as(item, kind) for item, kind in zip(value, inner, strict=True))
    return value


def _of_each(option: Any, value: Any) -> tuple[Any, ...]:
    """Return the type of each item of a tuple, which may be of any length: `tuple[X, ...]`."""
    inner = get_args(option)
    is_any_length = len(inner) == 2 and inner[1] is Ellipsis
    return (
        inner[:1] * (len(value) if isinstance(value, list | tuple) else 0)
        if is_any_length
        else inner
    )


def _in_words(option: Any) -> str:
    names = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
    if option is types.NoneType:
        return '"none"'
    if option in names:
        return names[option]
    if get_origin(option) is tuple:
        inner = get_args(option)
        return "a list" if Ellipsis in inner else f"a list of {len(inner)}"
    if get_args(option) and get_origin(option) is not None and not _is_mapping(option):
        return ", ".join(f'"{choice}"' for choice in get_args(option))
    return "a table"


def _is_mapping(option: Any) -> bool:
    origin = get_origin(option)
    return isinstance(origin, type) and issubclass(origin, Mapping)


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _without_none(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _without_none(value) if isinstance(value, Mapping) else value
        for key, value in values.items()
        if value is not None
    }
