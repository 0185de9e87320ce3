"""Checks of how many photos the classes have: against each other, and for a test worth its name.

In: a `Survey`. Out: one finding for each check, or None where there is nothing to say.
Not covered: whether a folder can be trained on at all (`data.trainable`).
"""

import math
from collections import defaultdict
from collections.abc import Mapping

from fieldmark.audit.findings import Evidence, Finding, Severity
from fieldmark.audit.survey import Survey, make_finding
from fieldmark.base.counting import counted, listed
from fieldmark.data.split_table import TEST, VALIDATION
from fieldmark.evaluation.intervals import wilson_interval

NOTED_RATIO = 3.0
"""Largest over smallest class from which imbalance is worth knowing. Up to here it is usual: the
datasets that people make by hand without counting are within it. A choice."""
SERIOUS_RATIO = 10.0
"""The same, from which it is a warning: at a ratio of 10 the error of a ResNet-32 on CIFAR-10 is
about twice that with balanced classes (Cui et al. 2019, "Class-Balanced Loss", table 2)."""
MIN_GROUPS = 3
"""Groups of a class that training, validation and test need: one for each. Where no photos are
set apart for validation, one fewer."""
MIN_TESTED = 10
"""Test photos of a class below which its recall says hardly anything: with 9 of 10 right, its 95 %
interval reaches from 60 to 98 %."""
USUAL_RECALL = 0.9
"""The recall for which the width of the interval is told."""


def imbalance(survey: Survey) -> Finding | None:
    """FM401: classes with many times the photos of others."""
    counts = survey.catalog.counts()
    if len(counts) < 2:
        return None
    smallest = min(counts, key=lambda name: (counts[name], name))
    largest = max(counts, key=lambda name: (counts[name], name))
    ratio = counts[largest] / counts[smallest]
    if ratio < NOTED_RATIO:
        return None
    severity: Severity = "warning" if ratio >= SERIOUS_RATIO else "info"
    summary = (
        f"The largest class, '{largest}' with {counted(counts[largest], 'photo')}, has "
        f"{ratio:.0f} times those of the smallest, '{smallest}' with {counts[smallest]:,}."
    )
    return make_finding("FM401", severity, summary)


def too_small(survey: Survey) -> Finding | None:
    """FM402: classes of which hardly any photo will be left to test with.

    Photos that stay together count as one, since a second copy of a test photo tests nothing.
    """
    groups: dict[str, dict[str, str]] = defaultdict(dict)
    for row in survey.catalog.usable:
        groups[row.label].setdefault(survey.group(row.path), row.path)
    tested = {label: _num_tested(survey, of) for label, of in groups.items()}
    parts, num_needed = _parts(survey)
    few = sorted(label for label, of in groups.items() if len(of) < num_needed)
    weak = [label for label in tested if tested[label] < MIN_TESTED and label not in few]
    weak.sort(key=lambda label: (tested[label], label))
    if not few and not weak:
        return None
    told = []
    if few:
        named = listed([f"'{label}' ({len(groups[label])})" for label in few])
        told.append(f"Too few photos that differ for {parts}, which needs {num_needed}: {named}.")
    if weak:
        about = "" if survey.planned else "about "
        named = listed([f"'{label}' ({about}{tested[label]})" for label in weak])
        told.append(f"Fewer than {MIN_TESTED} photos to test with: {named}.")
        told.append(_how_sure(tested[weak[0]]))
    severity: Severity = "error" if few else "warning"
    evidence = [
        Evidence(paths=(path,), detail=f"of '{label}'")
        for label in few
        for path in sorted(groups[label].values())
    ]
    return make_finding("FM402", severity, " ".join(told), evidence)


def _parts(survey: Survey) -> tuple[str, int]:
    """Return what the photos are divided into, in words, and how many parts these are."""
    known = survey.planned or survey.sides
    if survey.split.validation > 0 or VALIDATION in known.values():
        return "training, validation and test", MIN_GROUPS
    return "training and test", MIN_GROUPS - 1


def _num_tested(survey: Survey, groups: Mapping[str, str]) -> int:
    """Return how many groups of a class are tested on; `groups` has a path for each."""
    known = survey.planned or survey.sides
    if TEST not in known.values():
        return math.floor(survey.split.test * len(groups))
    return sum(known.get(path) == TEST for path in groups.values())


def _how_sure(num_tested: int) -> str:
    """Say what so few photos can tell of the recall of their class."""
    if num_tested == 0:
        return "Of a class without any, nothing will be known."
    right = round(USUAL_RECALL * num_tested)
    recall = wilson_interval(right, num_tested)
    return (
        f"With {right} of {num_tested} right, the recall may be anything from "
        f"{recall.low:.0%} to {recall.high:.0%}.".replace("%", " %")
    )
