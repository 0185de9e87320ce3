"""Does the score for unfamiliar photos recognise classes that it was never told of?

In: a folder of photos, weights, a split file. Out: for every two classes, left out of training in
turn, how well the score tells their test photos from those of the other classes.
For each pair the probe, the score and its threshold are fitted anew, as `fieldmark train` does on
a folder without these classes; the features are computed once.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from compare_noise import Frozen, features_of
from conditions import in_percent, machine, today
from fieldmark.base.progress import SilentProgress
from fieldmark.collect import Given
from fieldmark.data.split_table import TEST, TRAIN, VALIDATION
from fieldmark.evaluation.familiar_space import fit_reduction, fit_space, most_components
from fieldmark.evaluation.predictions import Predictions
from fieldmark.evaluation.unfamiliar import auroc, energy, rate_threshold
from fieldmark.training.probe import Labelled, Probe, ProbeConfig, fit_probe
from fieldmark.training.unfamiliar import fit_unfamiliar
from figures_table import FiguresTable

NUM_LEFT_OUT = 2
RATE = 0.01
TABLE = FiguresTable(
    name="unfamiliar",
    header=(
        "Photos",
        "Score",
        "AUROC, mean",
        "AUROC, lowest",
        "Left out there",
        "Recognised, mean",
        "Familiar photos called so, mean",
        "Machine",
        "Date",
    ),
    num_keys=2,
)

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """How one score did where some classes were left out."""

    score: str
    left_out: str
    auroc: float
    recognised: float
    """Share of the left-out classes' test photos above the threshold."""
    false: float
    """Share of the other classes' test photos above it."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("--split-file", type=Path)
    parser.add_argument("--weights", default="auto")
    parser.add_argument("--record", action="store_true", help="update benchmarks/README.md")
    options = parser.parse_args()
    frozen = features_of(
        options.photos,
        weights=options.weights,
        given=Given(split_file=options.split_file),
        progress=SilentProgress(),
    )
    figures: list[Figures] = []
    for left_out in combinations(frozen.classes, NUM_LEFT_OUT):
        figures += without(frozen, left_out)
        print(" ".join(f"{one.score} {one.auroc:.4f}" for one in figures[-3:]), *left_out)
    rows = [
        (options.photos.resolve().name, *row_of(figures, score=score))
        for score in dict.fromkeys(one.score for one in figures)
    ]
    print("\n".join(TABLE.lines(rows)))
    if options.record:
        TABLE.record(rows)


def without(frozen: Frozen, left_out: Sequence[str]) -> Iterator[Figures]:
    """Yield how the score that is chosen, and both scores alone, do without some classes."""
    sides = {side: known(frozen, side, without=left_out) for side in (TRAIN, VALIDATION, TEST)}
    strange = known(frozen, TEST, without=set(frozen.classes) - set(left_out))
    num_classes = len(frozen.classes) - len(left_out)
    probe = fit_probe(
        sides[TRAIN],
        sides[VALIDATION],
        config=ProbeConfig(),
        num_classes=num_classes,
        on_trial=lambda _: None,
    )
    features_NF = np.concatenate([side.features_NF for side in sides.values()])
    table = table_of(sides, probe, num_classes=num_classes)
    chosen = fit_unfamiliar(table, features_NF, rate=RATE)
    train = sides[TRAIN]
    reduction = fit_reduction(train.features_NF, generator=np.random.default_rng(0))
    num_features = train.features_NF.shape[1]
    space = fit_space(
        reduction.components(train.features_NF).photos_NP,
        train.labels_N,
        num_features=num_features,
        most=most_components(num_features),
    ).on_features(reduction)
    energies = (energy(table.logits_NC), energy(probe.head.logits(strange.features_NF)))
    distances = (space.distances(features_NF), space.distances(strange.features_NF))
    names = " and ".join(left_out)
    for score, (scores_N, strange_N) in (
        ("as chosen", energies if chosen.space is None else distances),
        ("distance", distances),
        ("energy", energies),
    ):
        threshold = rate_threshold(scores_N[table.splits == VALIDATION], rate=RATE)
        assert threshold is not None, "too few validation photos"
        familiar_N = scores_N[table.splits == TEST]
        yield Figures(
            score=score,
            left_out=names,
            auroc=auroc(familiar_N, strange_N),
            recognised=float((strange_N > threshold).mean()),
            false=float((familiar_N > threshold).mean()),
        )


def known(frozen: Frozen, side: str, *, without: Sequence[str] | set[str]) -> Labelled:
    """Return the photos of a side but for some classes, the others numbered anew."""
    rows = [row for row in frozen.collected.splits.rows if row.split == side]
    photos = frozen.labelled(tuple(row.path for row in rows if row.label not in without))
    _, labels_N = np.unique(photos.labels_N, return_inverse=True)
    return replace(photos, labels_N=labels_N.astype(np.int64))


def table_of(sides: dict[str, Labelled], probe: Probe, *, num_classes: int) -> Predictions:
    """Return the predictions of all sides; those of validation by a head that has not seen them."""
    logits = [
        (probe.chosen.head if side == VALIDATION else probe.head).logits(photos.features_NF)
        for side, photos in sides.items()
    ]
    labels_N = np.concatenate([photos.labels_N for photos in sides.values()])
    return Predictions(
        paths=tuple(f"{place}.jpg" for place in range(len(labels_N))),
        splits=np.repeat(list(sides), [len(photos.labels_N) for photos in sides.values()]),
        labels_N=labels_N,
        classes=tuple(f"class {number}" for number in range(num_classes)),
        logits_NC=np.concatenate(logits).astype(np.float32),
    )


def row_of(figures: Sequence[Figures], *, score: str) -> tuple[str, ...]:
    """Return what one score came to over all pairs."""
    of_score = [one for one in figures if one.score == score]
    lowest = min(of_score, key=lambda one: one.auroc)
    recognised = [one.recognised for one in of_score]
    return (
        score,
        f"{np.mean([one.auroc for one in of_score]):.4f}",
        f"{lowest.auroc:.4f}",
        lowest.left_out,
        in_percent(float(np.mean(recognised)), min(recognised), max(recognised)),
        f"{np.mean([one.false for one in of_score]):.2%}".replace("%", " %"),
        machine(),
        today(),
    )


if __name__ == "__main__":
    main()
