"""Starting a run of training: in a new folder, or in that of a run that was stopped.

In: what is asked. Out: the folder of a run that finished, its lock held and its record kept while
it goes on. Not covered: what a run does (`pipeline`), and what must be as it was (`resuming`).
"""

import shlex
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fieldmark import pipeline, resuming
from fieldmark.arguments import check_groups, lasting, recipe_asked
from fieldmark.base.errors import DataError, SplitError
from fieldmark.base.files import write_json, write_text
from fieldmark.base.lock import hold
from fieldmark.base.progress import Progress, format_duration
from fieldmark.base.run_folder import (
    RUNS_FOLDER,
    RunFolder,
    clear_leftovers,
    create_next_run_folder,
    create_run_folder,
    has_finished,
    require_free,
    require_outside,
)
from fieldmark.base.run_record import recorded_run, resume_command
from fieldmark.base.stopping import Stopped
from fieldmark.collect import Given
from fieldmark.data.catalog import read_catalog
from fieldmark.data.trainable import require_files
from fieldmark.earlier import Earlier, find_run, has_checkpoint, read_earlier, saved_at
from fieldmark.photo_source import PhotoSource
from fieldmark.planning import Plan, require_validation
from fieldmark.planning import plan as settle
from fieldmark.recipe import Recipe, recipe_toml
from fieldmark.records import described_device

FIRST_RECIPE = "quick"
"""What a new run is made by, where no recipe is named."""

JUST_NOW_S = 5.0
"""A state saved less than this ago is as good as the present one, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """What is asked of a run; None and empty where it is left open."""

    photos: Path
    """The folder, as it was named."""
    root: Path
    """The same, in full."""
    recipe: str | Recipe | None
    flags: dict[str, str | None]
    """backbone, weights and group_by."""
    ignore: Sequence[str]
    overrides: Sequence[str]
    given: Given
    out: Path | None
    command: str
    way_on: str | None = None
    """The command that goes on with the run; None: the one that names its folder."""
    source: PhotoSource | None = None
    """Runs that share one read the photos once."""

    def recipe_over(self, base: str | Recipe) -> Recipe:
        """Return the recipe named, or else the one given, with all changes over it.

        Raises:
            RecipeError: there is no such recipe, key, value or code.
            SplitError: the groups asked for cannot be right for any photos.
        """
        asked = recipe_asked(
            self.recipe or base, **self.flags, ignore=self.ignore, overrides=self.overrides
        )
        check_groups(asked.split)
        return asked


def begin(asking: Asking, *, progress: Progress) -> Path:
    """Make a new run and return its folder.

    Raises:
        FieldmarkError: for everything that the user can put right.
        Stopped: the run was stopped; the message says how to go on with it.
    """
    asked = asking.recipe_over(FIRST_RECIPE)
    require_files(asking.root)  # before weights are fetched for nothing
    plan = _lasting_plan(asked)
    folder = (
        create_run_folder(asking.out) if asking.out else create_next_run_folder(Path(RUNS_FOLDER))
    )
    try:
        with hold(folder.lock):
            require_free(folder.path, is_locked=True)  # another may have made its run here
            _make(folder, asking, asked=asked, given=asking.given, plan=plan, progress=progress)
    except (DataError, SplitError):
        with suppress(OSError):  # something is in it
            folder.path.rmdir()
        raise
    return folder.path


def go_on(asking: Asking, *, progress: Progress) -> Path:
    """Go on with a run that was stopped, and return its folder; one that has finished is left so.

    Raises:
        FieldmarkError: there is no such run, it is in use, something is not as it was when the run
            began, and everything that a new run raises.
        Stopped: the run was stopped again; the message says how to go on with it.
    """
    folder = find_run(asking.root, out=asking.out, parent=Path(RUNS_FOLDER))
    if has_finished(folder):
        _require_same(folder, asking)
        progress.note(f"The run in {folder.path} has finished; there is nothing to go on with.")
        return folder.path
    require_outside(folder.path, photos=asking.root)
    with hold(folder.lock):
        if not has_finished(folder):
            _go_on(folder, asking, progress=progress)
    return folder.path


def _require_same(folder: RunFolder, asking: Asking) -> None:
    """Refuse what a run that has finished was not made of."""
    if earlier := read_earlier(folder):
        asked = asking.recipe_over(earlier.asked)
        resuming.require_same(earlier, asked=asked, given=asking.given)
        if asked.model.weights != earlier.asked.model.weights:
            weights = _weights_of(_lasting_plan(asked))
            resuming.require_same_weights(earlier, asked=asked, weights=weights)
    resuming.check_files(folder, asking.root)


def _go_on(folder: RunFolder, asking: Asking, *, progress: Progress) -> None:
    earlier = read_earlier(folder)
    asked = asking.recipe_over(earlier.asked if earlier else FIRST_RECIPE)
    given = asking.given
    if earlier:
        given = resuming.require_same(earlier, asked=asked, given=given)
        asked = replace(asked, name=earlier.asked.name)
    plan = _lasting_plan(asked)
    if earlier:
        resuming.require_same_weights(earlier, asked=asked, weights=_weights_of(plan))
    clear_leftovers(folder)
    progress.note(_told(folder, earlier, asked=asked))
    _make(folder, asking, asked=asked, given=given, plan=plan, progress=progress, earlier=earlier)


def _make(
    folder: RunFolder,
    asking: Asking,
    *,
    asked: Recipe,
    given: Given,
    plan: Plan,
    progress: Progress,
    earlier: Earlier | None = None,
) -> None:
    """Train in a folder whose lock is held."""
    asked = lasting(asked)
    values = _values(asked, given, plan=plan)
    with (
        _kept_if_refused(folder, earlier),
        _taken_back_if_refused(folder, asking, earlier=earlier, progress=progress),
        _told_how_to_go_on(folder, asking, progress),
        recorded_run(
            folder,
            command=asking.command,
            photos=asking.root,
            values=values,
            earlier=earlier.record if earlier else None,
        ) as record,
    ):
        write_text(folder.recipe_toml, recipe_toml(asked))
        if earlier:
            device = described_device(plan)
            for note in resuming.notes(earlier, photos=asking.root, device=device):
                record.warnings.append(note)
                progress.note(note)
        pipeline.train(
            asking.root,
            plan=plan,
            given=given,
            record=record,
            progress=progress,
            resumed=earlier is not None,
            source=asking.source,
        )


def _lasting_plan(asked: Recipe) -> Plan:
    """Settle what is asked, with paths that hold from any folder; messages name them as typed."""
    require_validation(asked)
    plan = settle(asked)
    return replace(plan, recipe=lasting(plan.recipe))


def _values(asked: Recipe, given: Given, *, plan: Plan) -> dict[str, Any]:
    """Return what `run.json` says from the first moment on, for a run that goes on to look at."""
    return {
        "recipe": asked.name,
        "split_file": str(given.split_file.resolve()) if given.split_file else None,
        "labels": str(given.labels.resolve()) if given.labels else None,
        "sha256": resuming.digests(asked, given, weights=_weights_of(plan)),
    }


def _weights_of(plan: Plan) -> str | None:
    return plan.spec.weights.sha256 if plan.spec.weights else None


def _told(folder: RunFolder, earlier: Earlier | None, *, asked: Recipe) -> str:
    if earlier is None:
        return (
            f"The run in {folder.path} was stopped before anything was recorded of it; it begins "
            f"anew with what is asked now, by the recipe {asked.name}."
        )
    error = earlier.record.get("error")
    how = f"stopped ({error})" if error else "stopped without a word, as by a power cut"
    if has_checkpoint(folder):
        return f"Going on with {folder.path}, which was {how}."
    return (
        f"Going on with {folder.path}, which was {how} before any training was saved, so it "
        "begins anew; features already computed are used again."
    )


@contextmanager
def _kept_if_refused(folder: RunFolder, earlier: Earlier | None) -> Iterator[None]:
    """Leave the record as it was where the photos are others: a wrong folder is no failure."""
    try:
        yield
    except resuming.ChangedPhotosError:
        if earlier:
            write_json(folder.run_json, earlier.record)
        raise


@contextmanager
def _taken_back_if_refused(
    folder: RunFolder, asking: Asking, *, earlier: Earlier | None, progress: Progress
) -> Iterator[None]:
    """Leave nothing of a new run that was refused what it was given, so that it can be put right.

    The same command then begins anew in the same folder. What came of each file, `explore` shows.
    """
    try:
        yield
    except (DataError, SplitError) as error:
        if earlier is None and _is_refusal(error, folder):
            if _has_met_photos(folder, asking.root):
                look = shlex.join(["fieldmark", "explore", str(asking.photos)])
                progress.note(f"To see each file with what was made of it: {look}")
            for path in (folder.run_json, folder.recipe_toml, folder.catalog_csv):
                path.unlink(missing_ok=True)
        raise


def _is_refusal(error: BaseException, folder: RunFolder) -> bool:
    """Whether photos or files of the user were refused before the photos were divided."""
    return isinstance(error, (DataError, SplitError)) and not folder.splits_csv.exists()


def _has_met_photos(folder: RunFolder, root: Path) -> bool:
    if not folder.catalog_csv.exists():
        return False
    rows = read_catalog(folder.catalog_csv, root=root).rows
    return any(row.is_usable or row.is_lost_photo for row in rows)


@contextmanager
def _told_how_to_go_on(folder: RunFolder, asking: Asking, progress: Progress) -> Iterator[None]:
    """Say of a run that does not come to its end what is saved, and how to go on with it."""
    command = asking.way_on or resume_command(asking.photos, folder.path)
    try:
        yield
    except KeyboardInterrupt as error:
        how = str(error) or "interrupted from the keyboard"
        raise Stopped(f"{how}; {_saved(folder)}. Go on with: {command}") from error
    except resuming.ChangedPhotosError:
        raise
    except BaseException as error:
        if _is_refusal(error, folder):
            raise
        way = f" Go on with: {command}" if has_checkpoint(folder) else ""
        progress.note(f"The run did not finish; what there is of it is in {folder.path}.{way}")
        raise


def _saved(folder: RunFolder) -> str:
    last_s = saved_at(folder)
    if last_s is None:
        return "there was no state of training to save yet"
    ago_s = time.time() - last_s
    if ago_s < JUST_NOW_S:
        return "the state of training is saved"
    return f"the state of training of {format_duration(ago_s)} ago is saved"
