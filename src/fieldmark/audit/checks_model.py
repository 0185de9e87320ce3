"""Checks that small models make: labels that are doubted, outliers, and shortcuts.

In: a `Survey`. Out: one finding for each check, or None, and what the findings are made from. What
takes seconds is remembered, by the photos, their labels and groups, and where features come from.
Not covered: the models (`suspects`, `outliers`, `shortcuts`), and the features (`models`).

Shapes: N usable photos in the catalog's order, C classes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldmark.audit.findings import Evidence, Finding, Severity, SuspectPhoto
from fieldmark.audit.folds import fold_of
from fieldmark.audit.outliers import find_outliers
from fieldmark.audit.shortcut_cues import FILE
from fieldmark.audit.shortcuts import (
    ShortcutTest,
    describe_shortcuts,
    headline,
    measure_shortcuts,
)
from fieldmark.audit.survey import Survey, make_finding, tally
from fieldmark.audit.suspects import find_suspects, out_of_fold_probabilities
from fieldmark.base.cache import digest_of, remembered
from fieldmark.base.counting import counted, listed
from fieldmark.data.cue_cache import CUES_VERSION
from fieldmark.evaluation.document import from_plain, to_plain
from fieldmark.evaluation.intervals import Estimate, wilson_interval

LABELS_VERSION = 3
OUTLIERS_VERSION = 2
SHORTCUTS_VERSION = 1
"""Each is raised whenever the same photos would give another result."""
ONE_GROUP = (
    "All photos belong together, so none can be judged by a classifier that has not seen it."
)
LIBRARIES = ("numpy", "scikit-learn", "scipy", "pillow")
"""Another version of these may give another result, so what is remembered is theirs alone."""
DECIMALS = 4
"""Of a probability: more than people read, and fewer than differ between kinds of processors."""
MIN_SKILL = 0.2
"""Share of the way from chance to all right that the low end of the classifier's accuracy must have
gone for it to doubt labels. A choice: confident learning takes it that the classifier is mostly
right. On two classes of 300 photos with random features it doubted up to half of the labels."""
SERIOUS_SUSPECTS = 0.01
"""Share of the photos from which suspicious labels are a warning: the reference photos, which are
labelled with care, have less, and as many wrong test labels would hide a gain of a point."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelJudgement:
    """What classifiers of frozen features make of the labels, each photo judged by one unseen."""

    suspects: tuple[SuspectPhoto, ...] = ()
    """The most suspicious first."""
    classifier: Estimate | None = None
    """Share of the photos given the class of their folder; None where none could be judged."""
    obstacle: str = ""
    """Why no label is doubted whatever the classifiers say, or nothing."""


def judge_labels(survey: Survey, *, seed: int) -> LabelJudgement:
    """Return the photos whose label is doubted and the accuracy of the classifier that doubts.

    One that is hardly better than chance doubts none. The survey must have features.
    """
    depends_on = {**_identity(survey, seed=seed), "version": LABELS_VERSION}
    judged: LabelJudgement = remembered(
        "labels",
        depends_on,
        lambda: to_plain(_judge(survey, seed=seed)),
        read=lambda known: from_plain(LabelJudgement, known, where="labels"),
    )
    return judged


def measure(survey: Survey, *, seed: int) -> ShortcutTest:
    """Return how far cues go that are not the subject; the survey must have photos."""
    rows = survey.catalog.usable
    depends_on = {
        **_identity(survey, seed=seed),
        "features": "",
        "cues": CUES_VERSION,
        "sizes": digest_of({row.path: [row.width, row.height] for row in rows}),
        "version": SHORTCUTS_VERSION,
    }
    groups = [survey.group(row.path) for row in rows]
    test: ShortcutTest = remembered(
        "shortcuts",
        depends_on,
        lambda: to_plain(measure_shortcuts(rows, survey.cues, groups, seed=seed)),
        read=lambda known: from_plain(ShortcutTest, known, where="shortcuts"),
    )
    return test


def suspicious_labels(survey: Survey, judged: LabelJudgement) -> Finding | None:
    """FM501: photos that a classifier which has not seen them gives to another class."""
    if not judged.suspects:
        return None
    number, total = len(judged.suspects), len(survey.catalog.usable)
    confusions = tally(f"'{one.label}' that may be '{one.suggested}'" for one in judged.suspects)
    is_doubted = "label is" if number == 1 else "labels are"
    summary = f"{number:,} {is_doubted} doubted, of {total:,}: {confusions}."
    evidence = [
        Evidence(
            paths=(one.path,),
            detail=(
                f"'{one.label}', but looks like '{one.suggested}': "
                f"{_percent(one.suggested_probability)} against {_percent(one.label_probability)}"
            ),
        )
        for one in judged.suspects
    ]
    severity: Severity = "warning" if number >= SERIOUS_SUSPECTS * total else "info"
    return make_finding("FM501", severity, summary, evidence)


def outliers(survey: Survey, *, seed: int) -> Finding | None:
    """FM502: photos unlike those of every class; the survey must have features."""
    depends_on = {**_identity(survey, seed=seed), "version": OUTLIERS_VERSION}
    found = remembered(
        "outliers",
        depends_on,
        lambda: {"paths": _strangest(survey, seed=seed)},
        read=lambda known: [str(path) for path in known["paths"]],
    )
    if not found:
        return None
    number = len(found)
    looks = "looks" if number == 1 else "look"
    summary = f"{counted(number, 'photo')} {looks} unlike those of every class."
    copies = {paths[0]: paths for paths in survey.duplicates.groups}
    evidence = [Evidence(paths=copies.get(path, (path,))) for path in found]
    return make_finding("FM502", "info", summary, evidence)


def shortcuts(test: ShortcutTest, *, classifier: Estimate | None) -> Finding | None:
    """FM601: cues that are not the subject and tell the classes all the same."""
    if not test.shortcuts:
        return None
    told = describe_shortcuts(test, classifier)[0]
    others = [
        f"{score.title.lower()} ({_percent(score.accuracy.value)})" for score in test.shortcuts[1:]
    ]
    if others:
        told += f" Other cues that tell more than they should: {listed(others)}."
    of_file = any(score.kind == FILE for score in test.shortcuts)
    # What the picture holds may be the subject, such as strokes of a digit that reach the border.
    found = make_finding("FM601", "warning" if of_file else "info", told)
    return replace(found, headline=headline(test, classifier))


def _judge(survey: Survey, *, seed: int) -> LabelJudgement:
    rows = survey.catalog.usable
    names, labels_N = _labels(survey)
    folds_N = fold_of([survey.group(row.path) for row in rows], seed=seed)
    if len(np.unique(folds_N)) < 2:
        return LabelJudgement(obstacle=ONE_GROUP)
    assert survey.features_NF is not None
    probabilities_NC = out_of_fold_probabilities(
        survey.features_NF, labels_N, folds_N, num_classes=len(names)
    )
    num_right = int((probabilities_NC.argmax(axis=1) == labels_N).sum())
    classifier = wilson_interval(num_right, len(rows))
    if obstacle := _ignorance(classifier, chance=float(np.bincount(labels_N).max() / len(rows))):
        return LabelJudgement(classifier=classifier, obstacle=obstacle)
    suspects = tuple(
        SuspectPhoto(
            path=rows[one.index].path,
            label=names[one.given],
            suggested=names[one.suggested],
            label_probability=round(one.self_confidence, DECIMALS),
            suggested_probability=round(one.suggested_confidence, DECIMALS),
        )
        for one in find_suspects(probabilities_NC, labels_N)
    )
    return LabelJudgement(suspects=suspects, classifier=classifier)


def _ignorance(classifier: Estimate, *, chance: float) -> str:
    """Say why a classifier knows too little to doubt labels, or nothing."""
    if classifier.low - chance >= MIN_SKILL * (1 - chance):
        return ""
    return (
        f"A classifier of these features names only {_percent(classifier.value)} right, too little "
        f"to doubt labels: always naming the largest class gets {_percent(chance)} right."
    )


def _strangest(survey: Survey, *, seed: int) -> list[str]:
    """Return the paths of the outliers; of copies only the first is looked at."""
    rows = survey.catalog.usable
    _, labels_N = _labels(survey)
    repeats = {path for paths in survey.duplicates.groups for path in paths[1:]}
    kept = [index for index, row in enumerate(rows) if row.path not in repeats]
    assert survey.features_NF is not None
    found = find_outliers(survey.features_NF[kept], labels_N[kept], seed=seed)
    return [rows[kept[one.index]].path for one in found]


def _labels(survey: Survey) -> tuple[list[str], NDArray[np.int64]]:
    """Return the names of the classes and the class of each photo (N)."""
    names, labels_N = np.unique([row.label for row in survey.catalog.usable], return_inverse=True)
    return [str(name) for name in names], labels_N.astype(np.int64)


def _identity(survey: Survey, *, seed: int) -> Mapping[str, Any]:
    """Return what decides the results of all models here."""
    groups = {row.path: survey.group(row.path) for row in survey.catalog.usable}
    return {
        "photos": survey.catalog.digest,
        "groups": digest_of(groups),
        "features": survey.features_key,
        "seed": seed,
        "libraries": {name: version(name) for name in LIBRARIES},
    }


def _percent(probability: float) -> str:
    return f"{100 * probability:.0f} %"
