"""An audit alone, from the photos to its page; nothing is trained.

In: a folder of photos and, where weights are at hand, a plan for features. Out: `Exploration`, and
`explore.html`, `findings.json`, `labels.csv` and `catalog.csv` in a folder of their own.
Without features nothing of torch is imported, so that a second look takes seconds.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fieldmark import auditing
from fieldmark.audit.config import AuditConfig
from fieldmark.audit.findings import Audit, write_findings
from fieldmark.base.errors import SplitError, WeightsError
from fieldmark.base.progress import Progress
from fieldmark.base.run_folder import RunFolder
from fieldmark.collect import Gathered, Given, divide, gather
from fieldmark.data.catalog import Catalog, write_catalog
from fieldmark.data.splits import SplitConfig, Splits, write_splits
from fieldmark.report.exploration import write_exploration

if TYPE_CHECKING:
    from fieldmark.planning import Plan
    from fieldmark.recipe import Recipe
    from fieldmark.stages import Embedded

MIN_CLASSES = 2
"""Fewer have no labels to doubt, so nothing is computed for that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exploration:
    """What was found in a folder of photos, and where it is written."""

    path: Path
    """The folder of the files."""
    catalog: Catalog
    audit: Audit
    splits: Splits | None
    """As training would divide the photos; None where it could not."""
    num_doubts: int
    """Photos in `labels.csv`."""

    @property
    def page(self) -> Path:
        """The path of the page."""
        return RunFolder(self.path).explore_html

    @property
    def labels(self) -> Path:
        """The path of the labels in doubt."""
        return RunFolder(self.path).labels_csv


def plan_features(asked: "Recipe", *, must_have: bool, progress: Progress) -> "Plan | None":
    """Settle how features are computed; None where there are no weights for that.

    Args:
        asked: names backbone and weights.
        must_have: whether the user has asked for these weights.
        progress: told where the weights cannot be had.

    Raises:
        WeightsError: the weights that the user has asked for cannot be had.
        RecipeError: values that do not go together.
    """
    from fieldmark.planning import plan

    try:
        return plan(asked)
    except WeightsError as error:
        if must_have:
            raise
        progress.note(
            f"No pretrained weights, so labels and outliers are not checked: {error} "
            "To look without them from the start, give --weights none."
        )
        return None


def explore(
    root: Path,
    *,
    folder: RunFolder,
    split: SplitConfig,
    checks: AuditConfig,
    plan: "Plan | None",
    given: Given,
    progress: Progress,
    command: str,
) -> Exploration:
    """Look at a folder of photos and write down what is found.

    Args:
        root: the folder.
        folder: where to write; it exists and is empty.
        split: how training would divide the photos.
        checks: which checks are muted.
        plan: how features are computed; None leaves out the checks that need them.
        given: the user's files.
        progress: told of each stage.
        command: to be named on the page.

    Raises:
        FieldmarkError: for everything that the user can put right.
    """
    gathered, embedded, num_ignored = _look(
        root, folder=folder, plan=plan, given=given, progress=progress
    )
    audited = auditing.audit_photos(
        gathered,
        embedded,
        split=split,
        ignore=checks.ignore,
        given=given,
        num_rotations_ignored=num_ignored,
        progress=progress,
    )
    write_findings(folder.findings_json, audited)
    num_doubts = auditing.write_labels(folder.labels_csv, audited, gathered.catalog)
    write_catalog(folder.catalog_csv, gathered.catalog)
    splits = _divided(gathered, split, given=given, progress=progress)
    if splits:
        write_splits(folder.splits_csv, splits)
    progress.start("Page", total=1, unit="page")
    write_exploration(
        folder.path,
        catalog=gathered.catalog,
        cues=gathered.cues,
        audit=audited,
        splits=splits,
        turn_upright=not num_ignored,
        command=command,
        labels_csv=folder.labels_csv.name if num_doubts else None,
    )
    progress.advance()
    progress.finish(str(folder.explore_html))
    return Exploration(
        path=folder.path,
        catalog=gathered.catalog,
        audit=audited,
        splits=splits,
        num_doubts=num_doubts,
    )


def _look(
    root: Path, *, folder: RunFolder, plan: "Plan | None", given: Given, progress: Progress
) -> "tuple[Gathered, Embedded | None, int]":
    """Gather the photos, with features if there is a plan; count rotations not believed."""
    if plan is None:
        return gather(root, preprocess=None, given=given, progress=progress), None, 0
    from fieldmark import stages
    from fieldmark.orienting import orient

    classifier, plan = stages.build(plan, classes=("one", "other"))
    gathered = gather(
        root,
        preprocess=plan.preprocess,
        given=given,
        progress=progress,
        storage=folder.path,
        without_pixels=stages.photos_known(classifier, plan=plan),
    )
    if len(gathered.catalog.classes) < MIN_CLASSES:
        return gathered, None, 0
    usable = [row.path for row in gathered.catalog.usable]
    oriented = orient(classifier, gathered, paths=usable, plan=plan, progress=progress)
    if oriented.told:
        progress.note(oriented.told)
    embedded = stages.embed(
        oriented.classifier,
        oriented.gathered,
        paths=usable,
        plan=oriented.plan,
        progress=progress,
    )
    return oriented.gathered, embedded, oriented.num_ignored


def _divided(
    gathered: Gathered, split: SplitConfig, *, given: Given, progress: Progress
) -> Splits | None:
    """Return the splits that training would make; why not, where it would make none."""
    try:
        return divide(gathered, split, given=given).splits
    except SplitError as error:
        progress.note(f"These photos cannot be divided as they are: {error}")
        return None
