"""Runs that were begun before: which of them to go on with, and what its folder tells.

In: a folder of photos, or a run folder. Out: `Earlier`, with the record and the recipe as asked.
Not covered: whether all is still as it was (`resuming`).
"""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fieldmark.base.errors import RunError
from fieldmark.base.run_folder import RunFolder, has_finished, read_run_json, require_free
from fieldmark.recipe import Recipe, load_recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """A run that was begun, as its folder tells of it."""

    folder: RunFolder
    record: Mapping[str, Any]
    """The content of `run.json`."""
    asked: Recipe
    """The recipe, as it was asked for."""

    @property
    def path(self) -> Path:
        """The run folder."""
        return self.folder.path

    @property
    def sha256(self) -> Mapping[str, str]:
        """Of the files that the run was given, by `split_file`, `labels`, `group_by`, `weights`."""
        return dict(self.record.get("sha256") or {})


def find_run(root: Path, *, out: Path | None, parent: Path) -> RunFolder:
    """Return the run to go on with; it may have finished, and need not have recorded anything.

    Args:
        root: the folder of photos, in full.
        out: the run, where the user names it.
        parent: the folder of runs that is searched where they do not: for the run of the same
            photos that began or went on last, of those that have not finished.

    Raises:
        RunError: there is none.
    """
    if out is None:
        return _newest(root, parent=parent)
    if not out.is_dir():
        raise RunError(
            f"There is no run at {out} to go on with. Check the path for a typing error, or leave "
            "--resume out to begin it."
        )
    folder = RunFolder(out)
    if not folder.run_json.exists():
        with contextlib.suppress(RunError):
            require_free(out)
            return folder
    read_run_json(folder)
    return folder


def read_earlier(folder: RunFolder) -> Earlier | None:
    """Return what a folder tells of its run, or None where that was killed before it said it.

    Raises:
        RunError: `run.json` cannot be read.
        RecipeError: `recipe.toml` cannot be read, or holds what this Fieldmark does not know.
    """
    if not (folder.run_json.exists() and folder.recipe_toml.exists()):
        return None
    record = read_run_json(folder)
    asked = load_recipe(str(folder.recipe_toml))
    return Earlier(
        folder=folder, record=record, asked=replace(asked, name=record.get("recipe", asked.name))
    )


def has_checkpoint(folder: RunFolder) -> bool:
    """Tell whether anything of the training was saved."""
    return saved_at(folder) is not None


def saved_at(folder: RunFolder) -> float | None:
    """Return when the state of training was last saved, in seconds since 1970; None: never."""
    times = []
    for path in folder.checkpoints_dir.glob("step-*.safetensors"):
        with contextlib.suppress(OSError):  # the older ones are removed meanwhile
            times.append(path.stat().st_mtime)
    return max(times, default=None)


def _newest(root: Path, *, parent: Path) -> RunFolder:
    stopped = sorted(_stopped_runs(parent), key=lambda run: (run[0], str(run[1].path)))
    of_photos = [folder for _, folder, photos in stopped if photos == str(root)]
    if of_photos:
        return of_photos[-1]
    other = ""
    if stopped:
        _, folder, photos = stopped[-1]
        other = f" {folder.path}, of {photos}, did not finish; give it with --out if you mean it."
    raise RunError(
        f"There is no run of the photos in {root} under {parent} that has not finished.{other} "
        "Name a run with --out, or leave --resume out to train anew."
    )


def _stopped_runs(parent: Path) -> Iterator[tuple[str, RunFolder, str]]:
    """Yield when each run last began, its folder and its photos; what is no run is passed over."""
    for file in parent.glob("*/run.json"):
        folder = RunFolder(file.parent)
        with contextlib.suppress(RunError):
            record = read_run_json(folder)
            if not has_finished(folder):
                began = max([str(record.get("started")), *(record.get("resumed") or ())])
                yield began, folder, str(record.get("photos"))
