"""The audit of a folder, from what was gathered of it to the files that tell of it.

In: the gathered photos and, where a backbone is at hand, their features. Out: the `Audit`,
`findings.json` and `labels.csv`.
Not covered: the checks themselves (`audit`), and how the findings look (`report`).
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fieldmark.audit.audit import audit
from fieldmark.audit.findings import Audit
from fieldmark.audit.survey import Survey
from fieldmark.base.progress import Progress
from fieldmark.collect import Gathered, Given, groups_of
from fieldmark.data.catalog import Catalog
from fieldmark.data.label_file import EXCLUDE, RELABEL, Doubt, LabelChange, write_doubts
from fieldmark.data.split_file import given_sides
from fieldmark.data.splits import SplitConfig, Splits

if TYPE_CHECKING:
    from fieldmark.stages import Embedded

UNDER_TWO_LABELS = {"FM302": "the same photo is", "FM304": "nearly the same photo is"}
"""The checks for one photo under several labels, and how each is told."""


def audit_photos(
    gathered: Gathered,
    embedded: "Embedded | None",
    *,
    splits: Splits | None,
    split: SplitConfig,
    ignore: Sequence[str],
    given: Given,
    num_rotations_ignored: int = 0,
    progress: Progress,
) -> Audit:
    """Run every check that is not muted.

    Args:
        gathered: the photos.
        embedded: features of all usable ones; None leaves out the checks that need them.
        splits: how they are divided; None where they cannot be.
        split: how photos without a given side are divided.
        ignore: codes of the checks that are muted.
        given: the user's files.
        num_rotations_ignored: photos whose rotation in the metadata was not believed.
        progress: told of each check.
    """
    catalog = gathered.catalog
    paths = [row.path for row in catalog.usable]
    survey = Survey(
        catalog=catalog,
        cues=gathered.cues,
        duplicates=gathered.duplicates,
        sides=given_sides(catalog, given.split_file),
        planned=splits.sides() if splits else {},
        split=split,
        groups=groups_of(gathered, split),
        features_NF=embedded.take(paths) if embedded else None,
        features_key=embedded.key if embedded else "",
        num_rotations_ignored=num_rotations_ignored,
    )
    return audit(survey, ignore=ignore, progress=progress)


def write_labels(path: Path, audited: Audit, gathered: Gathered) -> int:
    """Write the photos whose labels are in doubt, the worst first; return how many they are.

    What was put right before is among them, its action filled in, so that the file holds all that
    the next run needs.
    """
    doubts: dict[str, Doubt] = {}
    for doubt in (*_under_two_labels(audited, gathered.catalog), *_suspects(audited)):
        doubts.setdefault(doubt.path, doubt)
    num_doubts = len(doubts)
    for change in gathered.changes:
        doubts[change.path] = _put_right(change, doubted=doubts.get(change.path))
    write_doubts(path, doubts.values())
    return num_doubts


def _put_right(change: LabelChange, *, doubted: Doubt | None) -> Doubt:
    """Return a correction that was made before, as the file asked for it."""
    return Doubt(
        path=change.path,
        label=change.label,
        suggested=change.new_label or "",
        reason="put right before" + (f"; {doubted.reason}" if doubted else ""),
        action=EXCLUDE if change.new_label is None else RELABEL,
    )


def _under_two_labels(audited: Audit, catalog: Catalog) -> Iterator[Doubt]:
    """Yield the photos that are there under several labels.

    Suggested is what the classifier says, or else the label that most of the copies have; nothing
    where neither says that this one is wrong.
    """
    labels = {row.path: row.label for row in catalog.usable}
    suggested = {one.path: one.suggested for one in audited.suspects}
    for code, told in UNDER_TWO_LABELS.items():
        finding = audited.of_code(code)
        for item in finding.evidence if finding else ():
            most = _most([labels[path] for path in item.paths])
            for path in item.paths:
                other = next(one for one in item.paths if labels[one] != labels[path])
                guess = most if most != labels[path] else ""
                yield Doubt(
                    path=path,
                    label=labels[path],
                    suggested=suggested.get(path, guess),
                    reason=f"{told} {other}",
                )


def _suspects(audited: Audit) -> Iterator[Doubt]:
    for one in audited.suspects:
        yield Doubt(
            path=one.path,
            label=one.label,
            suggested=one.suggested,
            reason=(
                f"looks like {one.suggested} ({one.suggested_probability:.0%}), "
                f"not {one.label} ({one.label_probability:.0%})"
            ),
        )


def _most(labels: Sequence[str]) -> str:
    """Return the label that more than half have, or nothing."""
    ((label, times),) = Counter(labels).most_common(1)
    return label if 2 * times > len(labels) else ""
