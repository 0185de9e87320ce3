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
from fieldmark.collect import Gathered, Given
from fieldmark.data.catalog import Catalog
from fieldmark.data.group_by import read_groups
from fieldmark.data.groups import find_groups
from fieldmark.data.label_file import Doubt, write_doubts
from fieldmark.data.split_file import given_sides
from fieldmark.data.splits import SplitConfig

if TYPE_CHECKING:
    from fieldmark.stages import Embedded

TWO_LABELS = "FM302"
"""The check for one photo under several labels."""


def audit_photos(
    gathered: Gathered,
    embedded: "Embedded | None",
    *,
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
        split: how photos without a given side are divided.
        ignore: codes of the checks that are muted.
        given: the user's files.
        num_rotations_ignored: photos whose rotation in the metadata was not believed.
        progress: told of each check.
    """
    catalog = gathered.catalog
    grouped_by = read_groups(split.group_by, catalog) if split.group_by else None
    groups = find_groups(catalog, together=gathered.duplicates.groups, grouped_by=grouped_by)
    paths = [row.path for row in catalog.usable]
    survey = Survey(
        catalog=catalog,
        cues=gathered.cues,
        duplicates=gathered.duplicates,
        sides=given_sides(catalog, given.split_file),
        split=split,
        groups=groups,
        features_NF=embedded.take(paths) if embedded else None,
        features_key=embedded.key if embedded else "",
        num_rotations_ignored=num_rotations_ignored,
    )
    return audit(survey, ignore=ignore, progress=progress)


def write_labels(path: Path, audited: Audit, catalog: Catalog) -> int:
    """Write the photos whose labels are in doubt, the worst first; return how many they are."""
    doubts = [*_under_two_labels(audited, catalog)]
    listed = {doubt.path for doubt in doubts}
    doubts += [doubt for doubt in _suspects(audited) if doubt.path not in listed]
    write_doubts(path, doubts)
    return len(doubts)


def _under_two_labels(audited: Audit, catalog: Catalog) -> Iterator[Doubt]:
    """Yield the photos that are there under several labels; the suggestion is the commonest."""
    finding = audited.of_code(TWO_LABELS)
    labels = {row.path: row.label for row in catalog.usable}
    suggested = {one.path: one.suggested for one in audited.suspects}
    for item in finding.evidence if finding else ():
        for path in item.paths:
            others = [other for other in item.paths if labels[other] != labels[path]]
            common = _commonest([labels[other] for other in item.paths])
            guess = suggested.get(path, common if common != labels[path] else labels[others[0]])
            yield Doubt(
                path=path,
                label=labels[path],
                suggested=guess,
                reason=f"the same photo is {others[0]}",
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


def _commonest(labels: Sequence[str]) -> str:
    counted = Counter(labels)
    return min(counted, key=lambda label: (-counted[label], label))
