"""The verb train: what a person asks of a training, once or several times, and what comes of it.

In: a folder of photos and what is to be made of them. Out: a finished `Run`, or the `Repeats` of
folds or seeds. Heavy imports happen once all that can be is checked.
Not covered: starting and going on (`starting`, `repeating`), and what a run does (`pipeline`).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, overload

from fieldmark.arguments import given_files, photos_folder, repeats_asked, require_new
from fieldmark.base.progress import Progress, SilentProgress
from fieldmark.base.run_folder import RUNS_FOLDER, next_run_path
from fieldmark.base.run_record import recorded_call
from fieldmark.run import Run

if TYPE_CHECKING:
    from fieldmark.repeated_runs import Repeats


@overload
def train(
    photos: str | Path,
    *,
    recipe: str | None = ...,
    backbone: str | None = ...,
    weights: str | None = ...,
    split_file: str | Path | None = ...,
    group_by: str | None = ...,
    labels: str | Path | None = ...,
    ignore: Sequence[str] = ...,
    folds: None = ...,
    seeds: None = ...,
    out: str | Path | None = ...,
    overrides: Sequence[str] = ...,
    resume: bool = ...,
    progress: Progress | None = ...,
    command: str | None = ...,
) -> Run: ...


@overload
def train(
    photos: str | Path,
    *,
    recipe: str | None = ...,
    backbone: str | None = ...,
    weights: str | None = ...,
    split_file: str | Path | None = ...,
    group_by: str | None = ...,
    labels: str | Path | None = ...,
    ignore: Sequence[str] = ...,
    folds: int,
    seeds: None = ...,
    out: str | Path | None = ...,
    overrides: Sequence[str] = ...,
    resume: bool = ...,
    progress: Progress | None = ...,
    command: str | None = ...,
) -> "Repeats": ...


@overload
def train(
    photos: str | Path,
    *,
    recipe: str | None = ...,
    backbone: str | None = ...,
    weights: str | None = ...,
    split_file: str | Path | None = ...,
    group_by: str | None = ...,
    labels: str | Path | None = ...,
    ignore: Sequence[str] = ...,
    folds: None = ...,
    seeds: int,
    out: str | Path | None = ...,
    overrides: Sequence[str] = ...,
    resume: bool = ...,
    progress: Progress | None = ...,
    command: str | None = ...,
) -> "Repeats": ...


@overload
def train(
    photos: str | Path,
    *,
    recipe: str | None = ...,
    backbone: str | None = ...,
    weights: str | None = ...,
    split_file: str | Path | None = ...,
    group_by: str | None = ...,
    labels: str | Path | None = ...,
    ignore: Sequence[str] = ...,
    folds: int | None = ...,
    seeds: int | None = ...,
    out: str | Path | None = ...,
    overrides: Sequence[str] = ...,
    resume: bool = ...,
    progress: Progress | None = ...,
    command: str | None = ...,
) -> "Run | Repeats": ...


def train(
    photos: str | Path,
    *,
    recipe: str | None = None,
    backbone: str | None = None,
    weights: str | None = None,
    split_file: str | Path | None = None,
    group_by: str | None = None,
    labels: str | Path | None = None,
    ignore: Sequence[str] = (),
    folds: int | None = None,
    seeds: int | None = None,
    out: str | Path | None = None,
    overrides: Sequence[str] = (),
    resume: bool = False,
    progress: Progress | None = None,
    command: str | None = None,
) -> "Run | Repeats":
    """Turn a folder of photos, one subfolder a class, into an evaluated classifier.

    Args:
        photos: the folder; it is never written to.
        recipe: quick, finetune, scratch, reference, digits, or the path of a TOML file; None is
            quick.
        backbone: any timm name; None takes the recipe's.
        weights: "auto", "none", a folder or a .safetensors file; None takes the recipe's.
        split_file: CSV with columns path and split; None makes the split.
        group_by: photos that must stay on one side: a regular expression on the path, or
            `FILE.csv:COLUMN`; None takes the recipe's.
        labels: CSV that relabels photos or leaves them out, as `explore` writes it.
        ignore: codes of checks to mute, beside those that the recipe mutes.
        folds: train so many times, 2 to 50, each time testing another part of the photos, until
            each photo has been tested once; not with a split of one's own.
        seeds: train so many times, 2 to 50, with the same split and other seeds: `train.seed` and
            those that follow it.
        out: the run folder, which must be new or empty; None takes the next `runs/run-NNN`.
        overrides: `section.key=value` changes to the recipe.
        resume: go on with the run `out` or, where that is None, with the last under `runs/` of
            these photos that has not finished. What is left out here is as the run began; what
            is given must agree with it. A run that has finished is returned as it is.
        progress: where progress is shown; None shows nothing.
        command: what to record as the command in `run.json`.

    Returns:
        The run; with folds or seeds, also of one that goes on, the `Repeats` with all of them.

    Raises:
        FieldmarkError: for everything that the user can put right (see `base.errors`).
        KeyboardInterrupt: the run was stopped (a `base.stopping.Stopped`, whose message says what
            is saved and how to go on).
    """
    root = photos_folder(photos)
    place = Path(out).expanduser() if out else None
    if not resume:
        require_new(place or next_run_path(Path(RUNS_FOLDER)), photos=photos, root=root)
    given = given_files(split_file, labels)
    kind = repeats_asked(folds, seeds, split_file=given.split_file)
    from fieldmark import repeating, starting

    flags = {"backbone": backbone, "weights": weights, "group_by": group_by}
    files = {"split_file": given.split_file, "labels": given.labels, "out": out}
    lists: dict[str, object] = {"ignore": list(ignore), "overrides": list(overrides)}
    lists |= {"folds": folds, "seeds": seeds}
    asking = starting.Asking(
        photos=Path(photos).expanduser(),
        root=root,
        recipe=recipe,
        flags=flags,
        ignore=ignore,
        overrides=overrides,
        given=given,
        out=place,
        command=command or recorded_call("train", photos, recipe=recipe, **flags, **files, **lists),
    )
    return repeating.train(
        asking,
        kind=kind,
        count=folds or seeds,
        resume=resume,
        progress=progress or SilentProgress(),
    )
