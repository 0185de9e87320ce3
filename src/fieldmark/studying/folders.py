"""Where a study is: a new folder, or that of a study to go on with.

In: the folder that is asked for, if any. Out: the folder, and whether what was begun in it is what
is asked for now.
"""

import contextlib
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fieldmark.base.errors import RunError
from fieldmark.base.run_folder import (
    RUNS_FOLDER,
    create_next_run_folder,
    create_run_folder,
    require_outside,
)
from fieldmark.collect import Given
from fieldmark.recipe import Recipe, recipe_tables
from fieldmark.resuming import digests
from fieldmark.studies.plan import StudyPlan
from fieldmark.studies.record import StudyFolder, StudyRecord, read_record
from fieldmark.studies.space import text_of

STEM = "study"


def place_of(out: Path | None, *, root: Path, resume: bool) -> StudyFolder:
    """Return the folder of the study, which is made where it is new.

    A folder that holds a study is gone on with, whether or not that was asked for.

    Args:
        out: where the user wants it; None: the next `runs/study-NNN` or, to go on, the study of
            these photos there that was begun last and has not finished.
        root: the folder of photos, in full.
        resume: whether to go on with a study.

    Raises:
        RunError: there is no such study, or the folder cannot be used.
    """
    if out is None:
        if resume:
            return _newest(root)
        return StudyFolder(create_next_run_folder(Path(RUNS_FOLDER), stem=STEM).path)
    require_outside(out, photos=root)
    folder = StudyFolder(out)
    if folder.study_json.is_file():
        return folder
    if resume:
        raise RunError(
            f"There is no study at {out} to go on with. Check the path for a typing error, or "
            "leave --resume out to begin it."
        )
    create_run_folder(out)
    return folder


def resume_command(
    photos: Path, folder: StudyFolder, *, engine: str = "local", address: str | None = None
) -> str:
    """Return the command line that goes on with a study.

    Args:
        photos: the folder, as it was named.
        folder: of the study.
        engine: "local" or "ray"; which machines compute is said anew each time.
        address: of a Ray cluster; None: this machine.
    """
    words = ["fieldmark", "study", str(photos), "--out", str(folder.path), "--resume"]
    words += ["--engine", engine] if engine != "local" else []
    return shlex.join([*words, *(["--address", address] if address else [])])


def require_same(record: StudyRecord, plan: StudyPlan, *, folder: StudyFolder) -> None:
    """Refuse to go on with a study that is not the one asked for.

    Raises:
        RunError: with a line for each difference.
    """
    before = _compared(
        record.recipe,
        factors=[factor.to_json() for factor in record.factors],
        ranges=[span.to_json() for span in record.ranges],
        num_settings=record.num_settings,
        seeds=list(record.seeds),
        halving=record.halving,
    )
    now = _compared(
        recipe_tables(plan.basis.recipe),
        factors=[factor.to_json() for factor in plan.factors],
        ranges=[span.to_json() for span in plan.ranges],
        num_settings=plan.num_settings,
        seeds=list(plan.seeds),
        halving=plan.halving,
    )
    lines = [
        f"\n  {name}: it was {_text(before.get(name))}, and is {_text(now.get(name))} now"
        for name in dict.fromkeys([*before, *now])
        if before.get(name) != now.get(name)
    ]
    if lines:
        raise RunError(
            f"The study in {folder.path} is another than the one asked for:{''.join(lines)}\n"
            "Choose another --out, or go on with it as it was by giving --out and --resume alone."
        )


def require_same_files(record: StudyRecord, given: Given, *, recipe: Recipe) -> None:
    """Refuse to go on with another split file, other labels or other groups.

    With another split, photos that are to test the best recipe would have helped to choose it.

    Args:
        record: of the study.
        given: the files to go on with.
        recipe: what settings are laid over; its groups may be a file, too.

    Raises:
        RunError: their content is not what it was, or one of them is not there.
    """
    if record.sha256 is None:
        return
    try:
        same = digests(recipe, given, weights=None) == record.sha256
    except OSError:
        same = False
    if not same:
        raise RunError(
            f"The split file, labels or groups of {record.photos} are not those that the study "
            "began with. Put them back, or begin another with another --out."
        )


def _compared(recipe: Mapping[str, Any], **others: object) -> dict[str, object]:
    varied = {
        f"values of {factor['key']}": factor["values"]
        for factor in others.pop("factors")  # type: ignore[attr-defined]
    }
    spans = {
        f"range of {span['key']}": [span["low"], span["high"], span["is_log"]]
        for span in others.pop("ranges")  # type: ignore[attr-defined]
    }
    fields = {
        f"{section}.{key}": value
        for section, table in recipe.items()
        for key, value in table.items()
    }
    names = {"num_settings": "number of settings"}
    rest = {names.get(name, name): value for name, value in others.items()}
    # As JSON has them: what was read back has lists where the plan has tuples.
    return {name: _listed(value) for name, value in {**varied, **spans, **rest, **fields}.items()}


def _listed(value: object) -> object:
    return [_listed(one) for one in value] if isinstance(value, tuple | list) else value


def _text(value: object) -> str:
    return "nothing" if value is None else text_of(value)


def _newest(root: Path) -> StudyFolder:
    found = sorted(_unfinished(Path(RUNS_FOLDER)), key=lambda one: (one[0], str(one[1].path)))
    of_photos = [folder for _, folder, photos in found if photos == str(root)]
    if of_photos:
        return of_photos[-1]
    raise RunError(
        f"There is no study of the photos in {root} under {RUNS_FOLDER} that has not finished. "
        "Name a study with --out, or leave --resume out to begin one."
    )


def _unfinished(parent: Path) -> Iterator[tuple[str, StudyFolder, str]]:
    for file in parent.glob("*/study.json"):
        folder = StudyFolder(file.parent)
        with contextlib.suppress(RunError):
            record = read_record(folder)
            if record.status != "finished":
                yield record.started, folder, record.photos
