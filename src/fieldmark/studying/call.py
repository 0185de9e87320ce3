"""The verb study: what a person asks of a study, and what comes of it.

In: a folder of photos and what is to be varied. Out: a finished `Study`. Heavy imports happen once
all that can be is checked.
Not covered: running it (`study`).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fieldmark.arguments import given_files, photos_folder
from fieldmark.base.progress import Progress, SilentProgress
from fieldmark.base.run_record import recorded_call

if TYPE_CHECKING:
    from fieldmark.studying.study import Study


def study(
    photos: str | Path,
    *,
    vary: Sequence[str] = (),
    seeds: int | None = None,
    search: int | None = None,
    runs: int | None = None,
    preset: str | None = None,
    halving: bool | None = None,
    recipe: str | None = None,
    backbone: str | None = None,
    weights: str | None = None,
    split_file: str | Path | None = None,
    group_by: str | None = None,
    labels: str | Path | None = None,
    out: str | Path | None = None,
    overrides: Sequence[str] = (),
    engine: str = "local",
    address: str | None = None,
    storage: str | None = None,
    final: bool | None = None,
    resume: bool = False,
    progress: Progress | None = None,
    command: str | None = None,
) -> "Study":
    """Find out what recipe fields do, by training with other values of them; see `docs/study.md`.

    Args:
        photos: the folder; it is never written to.
        vary: `section.key=value,value` or, with `search`, `section.key=low..high` with `:log`.
        seeds: trials for each setting; None: 3, of a search 1.
        search: look for the best among so many settings; None: try combinations of values.
        runs: at most so many combinations, chosen to tell the effects apart best; None: all.
        preset: the name of a study that says itself what is varied, such as "reference".
        halving: stop trials early that are far behind; None: in searches only.
        recipe: what the values are laid over, as in `train`; None: by what is varied.
        backbone: any timm name; None takes the recipe's.
        weights: "auto", "none", a folder or a .safetensors file; None takes the recipe's.
        split_file: CSV with columns path and split; None makes the split.
        group_by: as in `train`.
        labels: as in `train`.
        out: the study's folder; None takes the next `runs/study-NNN`. One that holds this very
            study is gone on with.
        overrides: `section.key=value` changes to the recipe.
        engine: "local" or "ray".
        address: of a Ray cluster; None: this machine.
        storage: of a search, a URL that Optuna knows, for several machines that work on one; None:
            a file in the study's folder.
        final: train the best recipe in full and evaluate it once on the test photos; None: as the
            study was begun, a new one does.
        resume: go on with the study `out` or, where that is None, with the last under `runs/` of
            these photos that has not finished. What is left out is as it was begun.
        progress: where progress is shown; None shows nothing.
        command: what to record as the command.

    Raises:
        FieldmarkError: for everything that the user can put right (see `base.errors`).
        KeyboardInterrupt: the study was stopped (a `base.stopping.Stopped`, whose message says what
            is kept and how to go on).
    """
    root = photos_folder(photos)
    given = given_files(split_file, labels)
    from fieldmark.studies.optuna_storage import without_password
    from fieldmark.studies.plan import Asked
    from fieldmark.studying.sitting import StudyAsking
    from fieldmark.studying.study import study as run

    flags = {"recipe": recipe, "backbone": backbone, "weights": weights, "group_by": group_by}
    design = {"seeds": seeds, "search": search, "runs": runs, "preset": preset}
    lists = {"vary": list(vary), "overrides": list(overrides)}
    files = {"split_file": given.split_file, "labels": given.labels, "out": out}
    others = {
        "engine": engine if engine != "local" else None,
        "address": address,
        "storage": storage,
        "final": final,
    }
    if command is None:
        command = recorded_call("study", photos, **lists, **design, **flags, **files, **others)
    asking = StudyAsking(
        photos=Path(photos).expanduser(),
        root=root,
        asked=Asked(
            vary=tuple(vary),
            seeds=seeds,
            search=search,
            runs=runs,
            preset=preset,
            halving=halving,
            recipe=recipe,
            backbone=backbone,
            weights=weights,
            group_by=group_by,
            overrides=tuple(overrides),
        ),
        given=given,
        out=Path(out).expanduser() if out else None,
        resume=resume,
        engine=engine,
        address=address,
        storage=storage,
        final=final,
        command=without_password(command),
    )
    return run(asking, progress=progress or SilentProgress())
