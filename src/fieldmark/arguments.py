"""What a caller hands to a verb, checked before anything slow begins.

In: names, paths and `section.key=value` texts. Out: a folder, files and a recipe that exist.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fieldmark.base.errors import DataError, RecipeError, RunError, SplitError
from fieldmark.base.run_folder import RunFolder, has_finished, require_place, require_unused
from fieldmark.base.run_record import resume_command

if TYPE_CHECKING:
    from fieldmark.collect import Given
    from fieldmark.data.splits import SplitConfig
    from fieldmark.evaluation.repeated import Kind
    from fieldmark.recipe import Recipe


def photos_folder(photos: str | Path) -> Path:
    """Return the folder of photos, in full.

    Raises:
        DataError: it is missing, is a file, or cannot be listed.
    """
    from fieldmark.data.scan import require_folder

    root = Path(photos).expanduser().resolve()
    require_folder(root)
    return root


def require_new(path: Path, *, photos: str | Path, root: Path) -> None:
    """Refuse a place for a run that is not free; say more of a run in it that goes on or stopped.

    Args:
        path: the place.
        photos: the folder of photos, as it was named.
        root: the same, in full.

    Raises:
        RunError: as it says.
    """
    folder = RunFolder(path)
    require_unused(path)
    is_stopped = folder.run_json.is_file() and not has_finished(folder)
    if is_stopped or (folder.repeats_json.is_file() and not folder.report_html.is_file()):
        raise RunError(
            f"The folder {path} holds a run that did not finish. Choose another --out, or go on "
            f"with it: {resume_command(photos, path)}"
        )
    require_place(path, photos=root)


def given_files(split_file: str | Path | None, labels: str | Path | None) -> "Given":
    """Return the files that the user gives beside the folder.

    Raises:
        SplitError: there is no such split file.
        DataError: there is no such labels file.
    """
    from fieldmark.collect import Given

    paths = [Path(file).expanduser() if file else None for file in (split_file, labels)]
    if paths[0] and not paths[0].is_file():
        raise SplitError(f"There is no split file {paths[0]}. Check the path for a typing error.")
    if paths[1] and not paths[1].is_file():
        raise DataError(f"There is no labels file {paths[1]}. Check the path for a typing error.")
    return Given(split_file=paths[0], labels=paths[1])


def repeats_asked(
    folds: int | None, seeds: int | None, *, split_file: Path | None
) -> "Kind | None":
    """Return which repeats of a training are asked for, if any.

    Raises:
        RecipeError: both, or a number that cannot be.
        SplitError: folds of photos that a file divides already.
    """
    from fieldmark.data.fold_splits import MAX_FOLDS, MIN_FOLDS
    from fieldmark.evaluation.repeated import FOLDS, SEEDS

    if folds is not None and seeds is not None:
        raise RecipeError(
            f"--folds {folds} and --seeds {seeds} together: give one of them. Folds show how much "
            "the choice of photos matters, seeds how much chance in training does."
        )
    for flag, count in (("--folds", folds), ("--seeds", seeds)):
        if count is not None and not MIN_FOLDS <= count <= MAX_FOLDS:
            raise RecipeError(f"{flag} is {count}: give from {MIN_FOLDS} to {MAX_FOLDS}.")
    if folds is not None and split_file is not None:
        raise SplitError(
            f"--folds divides the photos itself, and {split_file} says which are tested. Leave out "
            "one of them; --seeds goes with a split of your own."
        )
    return FOLDS if folds is not None else SEEDS if seeds is not None else None


def check_groups(split: "SplitConfig") -> None:
    """Refuse an expression or a table of groups that cannot be right for any photos.

    Raises:
        SplitError: the expression is not valid, or the table or its column is missing.
    """
    from fieldmark.data.group_by import check_group_by

    if split.group_by is not None:
        check_group_by(split.group_by)


def recipe_asked(
    base: "str | Recipe",
    *,
    backbone: str | None,
    weights: str | None = None,
    group_by: str | None = None,
    ignore: Sequence[str] = (),
    overrides: Sequence[str],
) -> "Recipe":
    """Return a recipe with `section.key=value` changes, and then the flags, laid over it.

    Args:
        base: a recipe, its name, or its file.
        backbone: in its place in the recipe; None leaves that as it is. So do the next two.
        weights: likewise.
        group_by: likewise.
        ignore: codes of checks to mute beside those that the recipe mutes.
        overrides: the changes.

    Raises:
        RecipeError: there is no such recipe, key, value or code.
    """
    from fieldmark.recipe import load_recipe, override

    recipe = override(load_recipe(base) if isinstance(base, str) else base, overrides)
    of_model = {"backbone": backbone, "weights": weights}
    model: dict[str, Any] = {key: value for key, value in of_model.items() if value is not None}
    split: dict[str, Any] = {"group_by": group_by} if group_by is not None else {}
    return replace(
        recipe,
        model=replace(recipe.model, **model),
        split=replace(recipe.split, **split),
        audit=replace(recipe.audit, ignore=(*recipe.audit.ignore, *ignore)),
    )


def lasting(recipe: "Recipe") -> "Recipe":
    """Return the recipe with the files that it names in full, so that it holds from any folder."""
    from fieldmark.data.group_by import table_of

    weights, group_by = recipe.model.weights, recipe.split.group_by
    if weights not in ("auto", "none"):
        weights = str(Path(weights).expanduser().resolve())
    if group_by is not None and (table := table_of(group_by)):
        group_by = f"{table[0].resolve()}:{table[1]}"
    return replace(
        recipe,
        model=replace(recipe.model, weights=weights),
        split=replace(recipe.split, group_by=group_by),
    )
