"""Every verb from top to bottom.

In: what a person asks for. Out: what they are given, as plain values and files.
The command line and `import fieldmark` both come through here. Heavy imports happen inside the
verb that needs them.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fieldmark.arguments import (
    check_groups,
    given_files,
    photos_folder,
    recipe_asked,
)
from fieldmark.base.progress import Progress, SilentProgress
from fieldmark.base.run_folder import RUNS_FOLDER, next_run_path, require_place
from fieldmark.base.run_record import recorded_call
from fieldmark.run import Run
from fieldmark.studying.call import study
from fieldmark.train_call import train

if TYPE_CHECKING:
    from fieldmark.comparing import Comparison
    from fieldmark.degrading import Degraded
    from fieldmark.evaluation.answer import Prediction
    from fieldmark.evaluation.evaluation import Evaluation
    from fieldmark.explaining import Explanation
    from fieldmark.exploring import Exploration
    from fieldmark.exported import ExportedModel
    from fieldmark.exporting import Export
    from fieldmark.fetching import Fetched
    from fieldmark.layer_summary import Summary
    from fieldmark.verifying import Verified

__all__ = [
    "compare",
    "degrade",
    "demo",
    "evaluate",
    "explain",
    "explore",
    "fetch",
    "predict",
    "serve",
    "study",
    "summary",
    "train",
]

DIGITS_FOLDER = "digits"


def explore(
    photos: str | Path,
    *,
    backbone: str | None = None,
    weights: str | None = None,
    split_file: str | Path | None = None,
    group_by: str | None = None,
    labels: str | Path | None = None,
    ignore: Sequence[str] = (),
    out: str | Path | None = None,
    overrides: Sequence[str] = (),
    progress: Progress | None = None,
    command: str | None = None,
) -> "Exploration":
    """Look at a folder of photos and say what is wrong with it; nothing is trained or changed.

    Args:
        photos: the folder; it is never written to.
        backbone: any timm name, for the checks that need features; None takes the recipe quick's.
        weights: "auto", "none" (which leaves those checks out), a folder or a .safetensors file;
            None is "auto", but does without where they cannot be had.
        split_file: CSV with columns path and split, to be checked for leaks.
        group_by: as in `train`.
        labels: CSV that relabels photos or leaves them out; the rest is looked at.
        ignore: codes of checks to mute.
        out: the folder to write to, which must be new or empty; None takes the next
            `runs/explore-NNN`.
        overrides: `section.key=value` changes to the recipe.
        progress: where progress is shown; None shows nothing.
        command: what to name as the command on the page.

    Raises:
        FieldmarkError: for everything that the user can put right (see `base.errors`).
    """
    root = photos_folder(photos)
    path = Path(out).expanduser() if out else next_run_path(Path(RUNS_FOLDER), stem="explore")
    require_place(path, photos=root)
    given = given_files(split_file, labels)
    from fieldmark import exploring
    from fieldmark.audit.config import AuditConfig
    from fieldmark.data.splits import SplitConfig

    flags = {"backbone": backbone, "weights": weights, "group_by": group_by}
    files = {"split_file": given.split_file, "labels": given.labels, "out": out}
    lists = {"ignore": list(ignore), "overrides": list(overrides)}
    progress = progress or SilentProgress()
    plan = None
    if weights == "none" and not overrides:  # no need of recipes, which need torch
        split, checks = SplitConfig(group_by=group_by), AuditConfig(ignore=tuple(ignore))
    else:
        asked = recipe_asked("quick", **flags, ignore=ignore, overrides=overrides)
        split, checks = asked.split, asked.audit
        if asked.model.weights != "none":
            must_have = weights is not None
            plan = exploring.plan_features(asked, must_have=must_have, progress=progress)
    check_groups(split)
    return exploring.explore(
        root,
        path,
        split=split,
        checks=checks,
        plan=plan,
        given=given,
        progress=progress,
        command=command or recorded_call("explore", photos, **flags, **files, **lists),
    )


def evaluate(
    run: str | Path | Run,
    photos: str | Path | None = None,
    *,
    out: str | Path | None = None,
    progress: Progress | None = None,
) -> "Evaluation":
    """Return a run's numbers on its test split, or on another folder of labelled photos.

    See `evaluating.evaluate`.

    Raises:
        RunError: the run cannot be read, or `out` cannot be used.
        DataError: the photos' classes are not those of the run.
    """
    from fieldmark import evaluating

    return evaluating.evaluate(run, photos, out=out, progress=progress)


def compare(
    runs: Sequence[str | Path | Run],
    *,
    out: str | Path | None = None,
    progress: Progress | None = None,
    command: str | None = None,
) -> "Comparison":
    """Say which of several runs is better on the same test photos; see `comparing.compare`.

    Raises:
        FieldmarkError: a run cannot be read, their test photos differ, or `out` cannot be used.
    """
    from fieldmark import comparing

    return comparing.compare(runs, out=out, progress=progress, command=command)


def predict(
    run: "str | Path | Run | ExportedModel",
    paths: Sequence[str | Path],
    *,
    top_k: int = 5,
    progress: Progress | None = None,
) -> "tuple[list[Prediction], list[tuple[Path, str]]]":
    """Return a prediction for every photo, and the files that are none with the reason for each.

    Args:
        run: a run folder, a bundle, a loaded run, or an ONNX file that `export` wrote.
        paths: photos, and folders that are searched for photos.
        top_k: how many classes to give for each photo, 1 or more.
        progress: where progress is shown, if there are photos enough for that.

    Raises:
        RunError: the run cannot be read.
        DataError: a path does not exist, there is no photo, or none of them could be read.
    """
    from fieldmark import predicting

    return predicting.predict(run, paths, top_k=top_k, progress=progress)


def explain(
    run: str | Path | Run,
    paths: Sequence[str | Path],
    *,
    out: str | Path | None = None,
    true_class: str | None = None,
    progress: Progress | None = None,
    command: str | None = None,
) -> "Explanation":
    """Draw what a run looks at on photos; see `explaining.explain`.

    Raises:
        FieldmarkError: the run or the photos cannot be read, or `out` cannot be used.
    """
    from fieldmark import explaining

    return explaining.explain(
        run, paths, out=out, true_class=true_class, progress=progress, command=command
    )


def export(
    run: str | Path | Run,
    *,
    to: str = "onnx",
    precision: str = "fp32",
    takes: str = "any",
    photos: str | Path | None = None,
    max_loss: float = 0.01,
    sign: str | Path | None = None,
    with_thumbnails: bool = False,
    ort: str | Path | None = None,
    out: str | Path | None = None,
    progress: Progress | None = None,
) -> "Export":
    """Write a run as one file or as a site, checked against the run; see `exporting.export`.

    Raises:
        FieldmarkError: the run or its photos cannot be read, or the file does not do the same.
    """
    from fieldmark import exporting

    return exporting.export(
        run,
        to=to,
        precision=precision,
        takes=takes,
        photos=photos,
        max_loss=max_loss,
        sign=sign,
        with_thumbnails=with_thumbnails,
        ort=ort,
        out=out,
        progress=progress,
    )


def serve(
    model: str | Path,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    token: str | None = None,
    allow_hosts: Sequence[str] = (),
    allow_origins: Sequence[str] = (),
    max_batch: int | None = None,
    max_wait_ms: float = 2.0,
    max_waiting: int | None = None,
    max_body_mib: float = 32.0,
    show_training_photos: bool = False,
    on_ready: Callable[[str], None] = lambda _address: None,
) -> None:
    """Answer requests until the process is told to stop; see `serving.server.ServeConfig`.

    Raises:
        FieldmarkError: the model cannot be read, or not be served as asked.
    """
    from fieldmark.serving import server

    config = server.ServeConfig(
        host=host,
        port=port,
        token=token,
        allow_hosts=tuple(allow_hosts),
        allow_origins=tuple(allow_origins),
        max_batch=max_batch,
        max_wait_ms=max_wait_ms,
        max_waiting=max_waiting,
        max_body_mib=max_body_mib,
        show_training_photos=show_training_photos,
    )
    server.serve(model, config, on_ready=on_ready)


def verify(model: str | Path, *, key: str | Path | None = None) -> "Verified":
    """Check that a bundle is whole and does what it did when saved; see `verifying.verify`.

    Raises:
        FieldmarkError: it is not, or it was not signed with the key.
    """
    from fieldmark import verifying

    return verifying.verify(model, key=key)


def degrade(
    run: str | Path | Run,
    photos: str | Path | None = None,
    *,
    kinds: Sequence[str] = (),
    max_photos: int = 500,
    seed: int = 0,
    progress: Progress | None = None,
) -> "Degraded":
    """Measure what damage to its test photos does to a run; see `degrading.degrade`.

    Raises:
        FieldmarkError: the run cannot be read, photos are missing or have changed, or a kind of
            damage is not known.
    """
    from fieldmark import degrading

    return degrading.degrade(
        run, photos, kinds=kinds, max_photos=max_photos, seed=seed, progress=progress
    )


def summary(
    *,
    recipe: str = "finetune",
    backbone: str | None = None,
    size_px: int | None = None,
    num_classes: int | None = None,
    overrides: Sequence[str] = (),
) -> "Summary":
    """Return the layers of the network that a recipe would train, without any weights.

    Args:
        recipe: as in `train`.
        backbone: any timm name; None takes the recipe's.
        size_px: side of the photos as the network sees them; None takes the recipe's or, where
            that leaves it open, the backbone's.
        num_classes: 2 or more; None is 10, but the study's 8 for the recipe reference.
        overrides: `section.key=value` changes to the recipe.

    Raises:
        RecipeError: the recipe or the backbone is not known.
    """
    from fieldmark.layer_summary import summarise

    return summarise(
        recipe,
        backbone=backbone,
        size_px=size_px,
        num_classes=num_classes,
        overrides=overrides,
    )


def demo(
    *,
    out: str | Path = "demo",
    overrides: Sequence[str] = (),
    progress: Progress | None = None,
    command: str | None = None,
) -> Run:
    """Run the main job on scikit-learn's 1,797 handwritten digits; no network is needed.

    The digits are written to `out/digits` as PNGs, the run to the next free `out/run-NNN`.
    `overrides` are changes to the recipe digits, as in `train`.

    Raises:
        DataError: `out/digits` holds something else.
    """
    from fieldmark.data.digits import write_digits

    folder = Path(out).expanduser()
    photos = write_digits(folder / DIGITS_FOLDER)
    return train(
        photos,
        recipe="digits",
        out=next_run_path(folder),
        overrides=overrides,
        progress=progress,
        command=command or recorded_call("demo", out=folder, overrides=list(overrides)),
    )


def fetch(name: str, folder: str | Path, *, progress: Progress | None = None) -> "Fetched":
    """Download a published dataset into a folder, as photos to train on.

    Args:
        name: one of those that `fieldmark data` lists, such as natural-images.
        folder: new or empty; where it holds the dataset already, nothing is done.
        progress: where progress is shown; None shows nothing.

    Raises:
        DataError: no such name, a folder that cannot be used, or data that could not be had or
            are not what was published; the message says how to get them by hand.
    """
    from fieldmark import fetching

    return fetching.fetch(name, Path(folder), progress=progress or SilentProgress())
