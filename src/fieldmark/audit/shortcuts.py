"""The shortcut test: how far do cues go that are not the subject?

In: catalog rows, cues, and which photos belong together. Out: `ShortcutTest`, and sentences.
A folder in which the size of a photo tells its class teaches a network to look at the size. No
metric shows it, since the test photos come from the same folder.
Not covered: what the cues are (see `shortcut_cues`), and whether a classifier uses them.

Shapes: N photos, D numbers, C classes.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fieldmark.audit.folds import NUM_FOLDS, fold_of, guess_out_of_fold
from fieldmark.audit.shortcut_cues import (
    CUE_SETS,
    FILE,
    PICTURE,
    CueSet,
    Photos,
    listed,
    percent,
    telling_sizes,
)
from fieldmark.data.catalog import CatalogRow
from fieldmark.data.cues import Cues
from fieldmark.evaluation.intervals import Estimate, wilson_interval

MAX_PHOTOS = 5000
"""With as many, an interval is at most 2.8 points wide, and more would only take longer."""

GIVEN_AWAY = 0.9
"""Recall and precision from which on a cue gives a class away."""
GIVEN_AWAY_LOW = 0.5
"""And the low ends of their intervals: three photos that were guessed prove nothing."""
LEAST_SKILL: Mapping[str, float] = {FILE: 0.2, PICTURE: 0.6}
"""Skill from which on a cue is a shortcut. A file's data should tell nothing: 0.2 allows for
classes of which some are photographed upright. On the reference photos (Natural Images) size
reaches 0.59. Colour may be part of the subject, so it takes more: there the mean colour reaches
0.38, the histogram 0.62 (fruit and aeroplanes before plain backgrounds)."""
LEAST_SKILL_OF_CUE: Mapping[str, float | None] = {"border": 0.5, "thumbnail": None}
"""Where it differs. The border hardly ever shows the subject (0.59 on the reference photos). At
8x8 pixels a subject can be read, as handwritten digits can, so a thumbnail is never a shortcut."""
PARTS_OF: Mapping[str, tuple[str, ...]] = {"metadata": ("size", "file", "camera")}
"""A cue that is others together is worth a word only where it goes further than each of them."""

MAX_SIZES = 3
"""Sizes of which it is said that they tell their classes; more are read by nobody."""

SAME_FOR_ALL = "It is the same for all photos."
TOO_FEW = "There are too few photos to measure it."


@dataclass(frozen=True, slots=True, kw_only=True)
class CueScore:
    """How far one cue goes."""

    key: str
    """Stable: size, file, camera, metadata, mean_colour, colour_histogram, thumbnail, border."""
    title: str
    description: str
    kind: str
    """file (never the subject) or picture (may be part of it)."""
    accuracy: Estimate
    """Share of photos whose class a small model names from this cue, each judged by one that has
    not seen it. Wilson."""
    skill: float
    """How much of the way from chance to always right it goes: 0 is chance, 1 is always right."""
    given_away: tuple[str, ...]
    """Classes that this cue alone tells: recall and precision of 0.9 or more."""
    recall: Mapping[str, float]
    """Share of each class that is named right, by class."""
    precision: Mapping[str, float] = field(default_factory=dict)
    """Share of the photos named so that are of the class, by class; 0 where none is named so."""
    note: str = ""
    """Why no model was fitted, or nothing; the accuracy then is that of chance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShortcutTest:
    """How far each cue goes, in the order of `CUE_SETS`."""

    cues: tuple[CueScore, ...]
    chance: Estimate
    """Share of the largest class: what always guessing it gets. Wilson."""
    num_photos: int = 0
    """On how many photos it was measured."""
    sizes: tuple[str, ...] = ()
    """Which sizes tell their classes by themselves, as sentences; see `telling_sizes`."""

    @property
    def shortcuts(self) -> tuple[CueScore, ...]:
        """The cues that go too far, of the file before those of the picture.

        Those of the file stand in the order of `cues`, the plainest first, the others by skill. A
        cue that is others together is left out unless it goes clearly further than each.
        """
        found = [score for score in self.cues if is_shortcut(score) and self._adds(score)]
        of_file = [score for score in found if score.kind == FILE]
        of_picture = [score for score in found if score.kind != FILE]
        return (*of_file, *sorted(of_picture, key=lambda score: -score.skill))

    def _adds(self, score: CueScore) -> bool:
        parts = PARTS_OF.get(score.key, ())
        return all(
            score.accuracy.low > part.accuracy.high
            for part in self.cues
            if part.key in parts and is_shortcut(part)
        )


def is_shortcut(score: CueScore) -> bool:
    """Whether a cue goes so far that a network may learn it instead of the subject."""
    least = LEAST_SKILL_OF_CUE.get(score.key, LEAST_SKILL[score.kind])
    if least is None or score.skill < least:
        return False
    # Skill is (accuracy - chance) / (1 - chance); at an accuracy of 1 chance is surely passed.
    if score.skill >= 1:
        return True
    chance = 1 - (1 - score.accuracy.value) / (1 - score.skill)
    return score.accuracy.low > chance


def measure_shortcuts(
    rows: Sequence[CatalogRow],
    cues: Mapping[str, Cues],
    groups: Sequence[str],
    *,
    seed: int = 0,
    max_photos: int = MAX_PHOTOS,
) -> ShortcutTest:
    """Measure by cross-validation how far each cue tells the classes apart.

    The intervals speak of the choice of photos; where many are copies they are too narrow.

    Args:
        rows: of the usable photos.
        cues: by path, for each of them.
        groups: the group of each of `rows`; a group lies in one fold.
        seed: of the folds, the trees and the sample.
        max_photos: of more, a sample is taken with the same shares of the classes.

    Returns:
        The same for the same photos, in whatever order.

    Raises:
        KeyError: for a photo without cues.
        ValueError: if there is no photo.
    """
    if not rows:
        raise ValueError("there is no photo to measure")
    taken = _sample(rows, seed=seed, max_photos=max_photos)
    photos = Photos(rows=[rows[i] for i in taken], cues=[cues[rows[i].path] for i in taken])
    classes, labels_N = np.unique([row.label for row in photos.rows], return_inverse=True)
    folds_N = fold_of([groups[i] for i in taken], num_folds=NUM_FOLDS, seed=seed)
    matrices = [cue_set.measure(photos) for cue_set in CUE_SETS]
    notes = [_note(values_ND, labels_N, folds_N) for values_ND in matrices]
    modelled = [values_ND for values_ND, note in zip(matrices, notes, strict=True) if not note]
    guesses = iter(guess_out_of_fold(modelled, labels_N, folds_N, seed=seed))
    largest_N = np.full(len(labels_N), np.bincount(labels_N).argmax())
    names = [str(name) for name in classes]
    return ShortcutTest(
        cues=tuple(
            _score(cue_set, largest_N if note else next(guesses), labels_N, names=names, note=note)
            for cue_set, note in zip(CUE_SETS, notes, strict=True)
        ),
        chance=_share(largest_N == labels_N),
        num_photos=len(labels_N),
        sizes=tuple(telling_sizes(rows)[:MAX_SIZES]),
    )


def _sample(rows: Sequence[CatalogRow], *, seed: int, max_photos: int) -> list[int]:
    """Return which rows take part, by path: of each class the same share, by a hash of the path."""
    by_path = sorted(range(len(rows)), key=lambda i: rows[i].path)
    if len(rows) <= max_photos:
        return by_path
    totals = Counter(row.label for row in rows)
    met: Counter[str] = Counter()
    places = {}
    for i in sorted(by_path, key=lambda i: _rank(rows[i].path, seed=seed)):
        # Spread evenly over 0..1 within each class, so that a cut takes the same share of all.
        places[i] = (met[rows[i].label] + 0.5) / totals[rows[i].label]
        met[rows[i].label] += 1
    return sorted(sorted(by_path, key=places.__getitem__)[:max_photos], key=lambda i: rows[i].path)


def _rank(path: str, *, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}:{path}".encode("utf-8", "surrogateescape")).digest()


def _note(
    values_ND: NDArray[np.float32], labels_N: NDArray[np.int64], folds_N: NDArray[np.int64]
) -> str:
    """Return why there is nothing to model, or nothing."""
    if (values_ND == values_ND[0]).all():
        return SAME_FOR_ALL
    return TOO_FEW if len(np.unique(folds_N)) < 2 or len(np.unique(labels_N)) < 2 else ""


def _score(
    cue_set: CueSet,
    guesses_N: NDArray[np.int64],
    labels_N: NDArray[np.int64],
    *,
    names: Sequence[str],
    note: str,
) -> CueScore:
    accuracy = _share(guesses_N == labels_N)
    chance = np.bincount(labels_N).max() / len(labels_N)
    places = range(len(names))
    recalls = [_share(guesses_N[labels_N == place] == place) for place in places]
    precisions = [_share(labels_N[guesses_N == place] == place) for place in places]
    return CueScore(
        key=cue_set.key,
        title=cue_set.title,
        description=cue_set.description,
        kind=cue_set.kind,
        accuracy=accuracy,
        skill=float((accuracy.value - chance) / (1 - chance)) if chance < 1 else 0.0,
        given_away=tuple(
            name
            for name, recall, precision in zip(names, recalls, precisions, strict=True)
            if not note and _is_sure(recall) and _is_sure(precision)
        ),
        recall={name: recall.value for name, recall in zip(names, recalls, strict=True)},
        precision={name: one.value for name, one in zip(names, precisions, strict=True)},
        note=note,
    )


def _share(is_right_N: NDArray[np.bool_]) -> Estimate:
    return wilson_interval(int(is_right_N.sum()), len(is_right_N))


def _is_sure(share: Estimate) -> bool:
    return share.value >= GIVEN_AWAY and share.low > GIVEN_AWAY_LOW


def describe_shortcuts(test: ShortcutTest, classifier: Estimate | None) -> list[str]:
    """Return a paragraph for each shortcut, in the order of `ShortcutTest.shortcuts`.

    Args:
        test: what was measured.
        classifier: the accuracy to compare with, of one that sees the whole photo, or None.
    """
    return [
        # What it compares with is the same for all, and told once.
        _describe(
            score,
            opening=headline(test, classifier) if place == 0 else f"{_naming(score)}.",
            facts=test.sizes if score.key == "size" else (),
            classifier=classifier,
        )
        for place, score in enumerate(test.shortcuts)
    ]


def headline(test: ShortcutTest, classifier: Estimate | None) -> str:
    """Return the first sentence of `describe_shortcuts`; there must be a shortcut."""
    told = f"{_naming(test.shortcuts[0])}; always guessing the largest class would get "
    told += percent(test.chance.value)
    if classifier is not None:
        told += f", and the classifier gets {percent(classifier.value)}"
    return f"{told}."


def _naming(score: CueScore) -> str:
    low, high = (
        percent(end).removesuffix(" %") for end in (score.accuracy.low, score.accuracy.high)
    )
    share = f"{percent(score.accuracy.value)} of the photos ({low} to {high})"
    return f"{score.title} alone names the class of {share}"


def _describe(
    score: CueScore, *, opening: str, facts: Sequence[str], classifier: Estimate | None
) -> str:
    sentences = [opening]
    if score.given_away:
        sentences.append(f"It gives away {listed(score.given_away)}.")
    sentences += facts
    if classifier is not None and score.accuracy.high >= classifier.low:
        sentences.append("The classifier does no better, so it may have learned nothing else.")
    if score.kind == PICTURE:
        sentences.append("This may be part of the subject, or only of where it was photographed.")
    return " ".join(sentences)
