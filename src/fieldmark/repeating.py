"""One recipe trained several times, each time a run of its own: by folds, or by seeds.

In: what is asked of a run, and how many folds or seeds. Out: `Repeats`: a folder with a run folder
for each, `repeats.json`, `repeats.csv`, and a page on how far they lie apart. The photos are read
once; every finished run stays where the rest is stopped, and is not trained again.
Not covered: what one run does (`starting`, `pipeline`), and the numbers (`evaluation.repeats`).
"""

import contextlib
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from fieldmark import resuming, starting
from fieldmark.arguments import lasting
from fieldmark.base.errors import DataError, FieldmarkError, RecipeError, RunError, SplitError
from fieldmark.base.files import write_text
from fieldmark.base.lock import hold
from fieldmark.base.progress import Progress
from fieldmark.base.run_folder import (
    RUNS_FOLDER,
    RunFolder,
    clear_leftovers,
    create_next_run_folder,
    create_run_folder,
    has_finished,
    read_run_json,
    require_free,
    require_outside,
)
from fieldmark.base.run_record import resume_command
from fieldmark.base.stopping import Stopped
from fieldmark.earlier import Earlier, find_run
from fieldmark.evaluation.repeated import FOLDS, SEEDS, Kind
from fieldmark.photo_source import PhotoSource
from fieldmark.planning import Plan, require_validation
from fieldmark.planning import plan as settle
from fieldmark.recipe import Recipe, load_recipe, recipe_toml
from fieldmark.repeated_runs import Repeats, read, record_in, sum_up, write_page
from fieldmark.repeats_record import RepeatsRecord, finish, is_done, kept, stopped_repeats
from fieldmark.run import Run, load
from fieldmark.starting import Asking

ONE_SOLUTION = (
    "train.strategy 'probe' fits a linear head on frozen features, which has one solution: another "
    "seed will give the same classifier. What the choice of photos does, --folds shows."
)


def train(
    asking: Asking, *, kind: Kind | None, count: int | None, resume: bool, progress: Progress
) -> Run | Repeats:
    """Train once, or several times where that is asked for, anew or going on.

    Args:
        asking: what is asked of each run.
        kind: folds or seeds; None: a single run or, going on, whatever it was.
        count: how many; None where `kind` is.
        resume: go on.
        progress: told of each stage of each run.

    Raises:
        FieldmarkError: for everything that the user can put right.
        Stopped: it was stopped; the message says how to go on with it.
    """
    if resume and (folder := to_go_on(asking.root, out=asking.out)):
        return go_on(asking, folder, kind=kind, count=count, progress=progress)
    if kind is None or count is None:
        start = starting.go_on if resume else starting.begin
        return load(start(asking, progress=progress))
    if resume:
        where = f"in {asking.out}" if asking.out else f"of these photos under {RUNS_FOLDER}"
        raise RunError(
            f"There are no {kind} {where} to go on with. Leave --{kind} out to go on with a single "
            "run, or --resume to begin them."
        )
    return begin(asking, kind=kind, count=count, progress=progress)


def begin(asking: Asking, *, kind: Kind, count: int, progress: Progress) -> Repeats:
    """Train `count` times in a new folder.

    Raises:
        FieldmarkError: for everything that the user can put right.
        Stopped: it was stopped; the message says how to go on with it.
    """
    asked = asking.recipe_over(starting.FIRST_RECIPE)
    record = _record(asking, asked, kind=kind, count=count)
    folder = (
        create_run_folder(asking.out) if asking.out else create_next_run_folder(Path(RUNS_FOLDER))
    )
    try:
        with hold(folder.lock):
            require_free(folder.path, is_locked=True)
            write_text(folder.recipe_toml, recipe_toml(lasting(asked)))
            if kind == SEEDS and asked.train.strategy == "probe":
                progress.note(ONE_SOLUTION)
            return _make(folder, asking, record=record, asked=asked, progress=progress)
    except (DataError, SplitError):
        _take_back(folder, record)
        raise


def go_on(
    asking: Asking,
    folder: RunFolder,
    *,
    kind: Kind | None = None,
    count: int | None = None,
    progress: Progress,
) -> Repeats:
    """Train the repeats that have not finished; see `begin`.

    Args:
        asking: what is left out is as it was when they began.
        folder: of them, as `to_go_on` found it.
        kind: of repeats, where it is said again.
        count: of repeats, where it is said again.
        progress: told of each stage of each run.

    Raises:
        FieldmarkError: also where something is not as it was.
        Stopped: it was stopped again.
    """
    record = record_in(folder)
    if kind is not None and (kind, count) != (record.kind, len(record.numbers)):
        raise RunError(
            f"{folder.path} was begun with --{record.kind} {len(record.numbers)}, not --{kind} "
            f"{count}. Leave that out to go on as it began, or train anew without --resume."
        )
    if is_done(folder, record):
        progress.note(f"All runs in {folder.path} have finished; there is nothing to go on with.")
        return read(folder.path)
    require_outside(folder.path, photos=asking.root)
    with hold(folder.lock):
        clear_leftovers(folder)
        asking, asked = _as_it_was(asking, folder, record)
        now = datetime.now(UTC).isoformat()
        record = replace(record, resumed=(*record.resumed, now))
        record = replace(record, status="running", error=None, ended=None)
        return _make(folder, asking, record=record, asked=asked, progress=progress)


def to_go_on(root: Path, *, out: Path | None) -> RunFolder | None:
    """Return the folder of repeats to go on with; None where it is a single run that is meant.

    Args:
        root: the folder of photos, in full.
        out: the folder, where the user names it; None: the last under `runs/` of these photos
            that has not finished, unless a single run began after it.
    """
    if out is not None:
        return RunFolder(out) if RunFolder(out).repeats_json.is_file() else None
    found = [
        (record.began, str(folder.path), folder)
        for folder, record in stopped_repeats(Path(RUNS_FOLDER))
        if record.photos == str(root)
    ]
    if not found:
        return None
    began, _, folder = max(found, key=lambda one: one[:2])
    with contextlib.suppress(RunError):
        single = read_run_json(find_run(root, out=None, parent=Path(RUNS_FOLDER)))
        if max([str(single.get("started")), *(single.get("resumed") or ())]) > began:
            return None
    return folder


def _record(asking: Asking, asked: Recipe, *, kind: Kind, count: int) -> RepeatsRecord:
    """Return the record as it begins, once all that can be is checked before any photo is read."""
    if kind == FOLDS and asked.split.folds is not None:
        raise RecipeError(
            f"--folds {count} tests each fold in turn, and the recipe asks for fold "
            f"{asked.split.fold} of {asked.split.folds}. Leave out one of them."
        )
    first = 1 if kind == FOLDS else asked.train.seed
    numbers = tuple(range(first, first + count))
    plan = _plan(_recipe_of(asked, kind=kind, number=first, count=count))
    given = asking.given
    return RepeatsRecord(
        command=asking.command,
        photos=str(asking.root),
        kind=kind,
        numbers=numbers,
        recipe=asked.name,
        split_file=str(given.split_file.resolve()) if given.split_file else None,
        labels=str(given.labels.resolve()) if given.labels else None,
        sha256=resuming.digests(asked, given, weights=_weights_of(plan)),
        started=datetime.now(UTC).isoformat(),
    )


def _as_it_was(asking: Asking, folder: RunFolder, record: RepeatsRecord) -> tuple[Asking, Recipe]:
    """Return what to go on with, once nothing that is said now differs from how it began."""
    base = replace(load_recipe(str(folder.recipe_toml)), name=record.recipe)
    said: Mapping[str, Any] = {
        "split_file": record.split_file,
        "labels": record.labels,
        "sha256": record.sha256,
    }
    earlier = Earlier(folder=folder, record=said, asked=base)
    asked = asking.recipe_over(base)
    given = resuming.require_same(earlier, asked=asked, given=asking.given)
    asked = replace(asked, name=record.recipe)
    first, count = record.numbers[0], len(record.numbers)
    plan = _plan(_recipe_of(asked, kind=record.kind, number=first, count=count))
    resuming.require_same_weights(earlier, asked=asked, weights=_weights_of(plan))
    return replace(asking, given=given), asked


def _make(
    folder: RunFolder, asking: Asking, *, record: RepeatsRecord, asked: Recipe, progress: Progress
) -> Repeats:
    """Train in a folder whose lock is held, and say what came of it."""
    began_s = time.monotonic()
    done = [name for name in record.names if has_finished(RunFolder(folder.path / name))]
    # The runs to come must be of the same photos as those that have finished.
    check = partial(resuming.check_photos, RunFolder(folder.path / done[0])) if done else None
    way_on = resume_command(asking.photos, folder.path)
    left_out: dict[str, str | None] = dict.fromkeys(asking.flags)
    asking = replace(asking, flags=left_out, ignore=(), overrides=(), way_on=way_on)
    asking = replace(asking, source=PhotoSource(check=check))
    with _told_how_far(folder, record, way_on=way_on, progress=progress), kept(folder, record):
        for place, name in enumerate(record.names):
            if name in done:
                continue
            number, count = record.numbers[place], len(record.names)
            progress.note(f"{record.noun.capitalize()} {place + 1} of {count}: {name}")
            recipe = _recipe_of(asked, kind=record.kind, number=number, count=count)
            _train(replace(asking, recipe=recipe, out=folder.path / name), progress=progress)
        result = sum_up(folder, record)
        record = finish(folder, record, result, since_s=began_s)
        write_page(folder, record, result)
    return Repeats(path=folder.path, names=record.names, result=result)


def _train(asking: Asking, *, progress: Progress) -> None:
    assert asking.out is not None
    start = starting.go_on if asking.out.is_dir() else starting.begin
    start(asking, progress=progress)


def _recipe_of(asked: Recipe, *, kind: str, number: int, count: int) -> Recipe:
    """Return the recipe of one fold or seed."""
    if kind == SEEDS:
        return replace(asked, train=replace(asked.train, seed=number))
    # The share is that of one fold; nothing is divided by it.
    split = replace(asked.split, folds=count, fold=number, test=round(1 / count, 4))
    return replace(asked, split=split)


def _plan(recipe: Recipe) -> Plan:
    require_validation(recipe)
    return settle(recipe)


def _weights_of(plan: Plan) -> str | None:
    return plan.spec.weights.sha256 if plan.spec.weights else None


def _take_back(folder: RunFolder, record: RepeatsRecord) -> None:
    """Leave nothing where the first run was refused what it was given, and left nothing itself."""
    if any((folder.path / name).exists() for name in record.names):
        return
    for path in (folder.repeats_json, folder.recipe_toml):
        path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # something else is in it
        folder.path.rmdir()


@contextmanager
def _told_how_far(
    folder: RunFolder, record: RepeatsRecord, *, way_on: str, progress: Progress
) -> Iterator[None]:
    """Say of repeats that do not come to their end how many are there, and how to go on."""
    try:
        yield
    except (KeyboardInterrupt, FieldmarkError) as error:
        num_done = sum(has_finished(RunFolder(folder.path / name)) for name in record.names)
        verb = "has" if num_done == 1 else "have"
        far = f"{num_done} of {len(record.names)} {record.kind} {verb} finished"
        if num_done:
            progress.note(f"{far}; what is in {folder.path} stays as it is.")
        told = str(error) or "interrupted from the keyboard"
        if isinstance(error, FieldmarkError) or way_on in told:
            raise
        raise Stopped(f"{told}; {far}. Go on with: {way_on}") from error
