"""What the checks of an audit look at, gathered before, and how a finding is put together.

In: the catalog of a folder, the cues of its photos, duplicates, sides, groups, perhaps features.
Out: `Survey`, the argument of every check, and `make_finding`, which makes what a check returns.
Not covered: measuring any of it (`data.scan`, `audit.duplicates`); judging it (`checks_*`).

Shapes: N usable photos in the catalog's order, F features.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fieldmark.audit.duplicates import Duplicates
from fieldmark.audit.findings import Evidence, Finding, GroupFacts, Severity
from fieldmark.base.counting import listed
from fieldmark.data.catalog import Catalog
from fieldmark.data.cues import Cues
from fieldmark.data.splits import SplitConfig

MAX_EVIDENCE = 5000
"""Pieces of evidence kept of one finding: more than anybody looks through, and `findings.json`
stays at about a megabyte for each. Files that are left out are all kept."""
SERIOUS_SHARE = 0.05
"""Share of the photos from which flaws of single photos are a warning: one in twenty is too many to
be the folder's odd ones out, and enough for the accuracy to feel it. A choice, not a finding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """All that is known of a folder before it is judged."""

    catalog: Catalog
    cues: Mapping[str, Cues]
    """Of every usable photo, by path."""
    duplicates: Duplicates
    sides: Mapping[str, str] = field(default_factory=dict)
    """train, validation or test by path, as the user gave it; empty where nothing is given."""
    planned: Mapping[str, str] = field(default_factory=dict)
    """train, validation or test by path, as the photos are divided in the end; empty where they
    cannot be."""
    split: SplitConfig = field(default_factory=SplitConfig)
    """How photos without a given side will be divided."""
    groups: Mapping[str, str] = field(default_factory=dict)
    """The name of the photos that must stay together, by path; a photo without one stands alone."""
    features_NF: NDArray[np.float32] | None = None
    """Of the usable photos in the catalog's order; None where there are none."""
    features_key: str = ""
    """Names what the features come from, so that what derives from them can be remembered."""
    num_rotations_ignored: int = 0
    """Photos whose metadata note a rotation that was not believed."""

    def judged(self) -> Iterator[tuple[str, Cues]]:
        """Yield each usable photo's path and cues, in the catalog's order."""
        for row in self.catalog.usable:
            yield row.path, self.cues[row.path]

    def group(self, path: str) -> str:
        """Return the name of the group of a photo."""
        return self.groups.get(path, path)

    def group_facts(self) -> GroupFacts:
        """Return how many groups there are, and how large."""
        sizes = Counter(self.group(row.path) for row in self.catalog.usable)
        return GroupFacts(
            num_groups=len(sizes),
            num_grouped=sum(size for size in sizes.values() if size > 1),
            largest=max(sizes.values(), default=0),
        )


def make_finding(
    code: str,
    severity: Severity,
    summary: str,
    evidence: Iterable[Evidence] = (),
    *,
    max_evidence: int | None = MAX_EVIDENCE,
) -> Finding:
    """Return a finding; evidence beyond `max_evidence` (None for all) is dropped, and that said."""
    kept = tuple(evidence)
    if max_evidence is not None and len(kept) > max_evidence:
        summary = f"{summary} Only the first {max_evidence:,} of {len(kept):,} are listed."
        kept = kept[:max_evidence]
    return Finding(code=code, severity=severity, summary=summary, evidence=kept)


def single(details: Mapping[str, str]) -> tuple[Evidence, ...]:
    """Return one piece of evidence for each path, with its detail, in the mapping's order."""
    return tuple(Evidence(paths=(path,), detail=detail) for path, detail in details.items())


def severity_of(num_photos: int, survey: Survey) -> Severity:
    """Return warning where flawed photos are a serious share of all, else info."""
    serious = num_photos >= SERIOUS_SHARE * max(1, len(survey.catalog.usable))
    return "warning" if serious else "info"


def tally(words: Iterable[str]) -> str:
    """Return `"20 × grey, 3 × CMYK"`: each word with its count, the commonest first."""
    counts = sorted(Counter(words).items(), key=lambda item: (-item[1], item[0]))
    return listed([f"{count:,} × {word}" for word, count in counts])
