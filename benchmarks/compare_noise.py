"""Does `compare` call noise a difference? Pairs of runs that differ in nothing but the seed.

In: a folder of photos, weights, a split file. Out: of how many pairs two equally good runs are told
apart. For each pair a share of each class' training photos is drawn, two linear heads learn from
them with different seeds, and both name the test photos of the split.
"""

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from conditions import machine
from fieldmark.base.progress import Progress, SilentProgress
from fieldmark.collect import Collected, Given, divide, gather
from fieldmark.data.split_table import TEST, TRAIN
from fieldmark.evaluation.intervals import format_percent, wilson_interval
from fieldmark.evaluation.paired import Pair, compare_predictions
from fieldmark.evaluation.predictions import Predictions
from fieldmark.orienting import orient
from fieldmark.planning import plan as settle
from fieldmark.recipe import load_recipe
from fieldmark.stages import Embedded, build, embed, photos_known
from fieldmark.training.config import TrainConfig
from fieldmark.training.head_fit import HeadPhotos, head_photos, train_head
from fieldmark.training.optim import OptimConfig
from fieldmark.training.probe import Labelled
from figures_table import FiguresTable

NUM_PAIRS = 100
SHARES = (0.5, 0.02)
"""Of each class' training photos: one half, and so few that the seed decides much."""
EPOCHS, LR = 20, 1e-3
TABLE = FiguresTable(
    name="compare_noise",
    header=(
        "Photos",
        "Learned from",
        "Pairs told apart",
        "Photos named otherwise, median",
        "Accuracy on test photos, mean",
        "Machine",
        "Date",
    ),
    num_keys=2,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    """Features of a folder's photos, and how they are divided."""

    collected: Collected
    embedded: Embedded
    classes: tuple[str, ...]

    def labelled(self, paths: tuple[str, ...]) -> Labelled:
        """Return features and class indices of some photos."""
        labels = {row.path: row.label for row in self.collected.splits.rows}
        labels_N = np.array([self.classes.index(labels[path]) for path in paths], dtype=np.int64)
        return Labelled(features_NF=self.embedded.take(paths), labels_N=labels_N)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("--split-file", type=Path)
    parser.add_argument("--weights", default="auto")
    parser.add_argument("--pairs", type=int, default=NUM_PAIRS, metavar="N")
    parser.add_argument("--record", action="store_true", help="update benchmarks/README.md")
    options = parser.parse_args()
    frozen = features_of(
        options.photos,
        weights=options.weights,
        given=Given(split_file=options.split_file),
        progress=SilentProgress(),
    )
    rows = [row_of(frozen, share=share, num_pairs=options.pairs) for share in SHARES]
    rows = [(options.photos.resolve().name, *row) for row in rows]
    print("\n".join(TABLE.lines(rows)))
    if options.record:
        TABLE.record(rows)


def features_of(photos: Path, *, weights: str, given: Given, progress: Progress) -> Frozen:
    """Read and divide the photos and compute their features, as `train` does."""
    recipe = load_recipe("quick")
    plan = settle(replace(recipe, model=replace(recipe.model, weights=weights)))
    classifier, plan = build(plan, classes=("one", "other"))
    gathered = gather(
        photos.resolve(),
        preprocess=plan.preprocess,
        given=given,
        progress=progress,
        without_pixels=photos_known(classifier, plan=plan),
    )
    collected = divide(gathered, plan.recipe.split, given=given)
    learned = collected.splits.paths(TRAIN)
    oriented = orient(classifier, gathered, paths=learned, plan=plan, progress=progress)
    if oriented.num_ignored:
        collected = divide(oriented.gathered, oriented.plan.recipe.split, given=given)
    embedded = embed(
        oriented.classifier,
        oriented.gathered,
        paths=[row.path for row in collected.splits.rows],
        plan=oriented.plan,
        progress=progress,
    )
    if embedded is None:
        raise SystemExit("Random weights have no features to learn from; give --weights.")
    return Frozen(collected=collected, embedded=embedded, classes=collected.catalog.classes)


def row_of(frozen: Frozen, *, share: float, num_pairs: int) -> tuple[str, ...]:
    """Return what pairs that learn from a share of the photos come to."""
    test = frozen.collected.splits.paths(TEST)
    tested, groups = frozen.labelled(test), frozen.collected.splits.groups()
    pairs: list[Pair] = []
    accuracies: list[float] = []
    sizes: list[int] = []
    for number in range(num_pairs):
        drawn = draw(frozen, share=share, seed=number)
        learned = frozen.labelled(drawn)
        photos = head_photos(
            learned,
            replace(learned, features_NF=learned.features_NF[:0], labels_N=learned.labels_N[:0]),
        )
        tables = [
            predictions_of(photos, tested, paths=test, classes=frozen.classes, seed=seed)
            for seed in (2 * number, 2 * number + 1)
        ]
        pairs += compare_predictions(tables, groups=groups, num_resamples=1)
        accuracies += [float((one.predicted_N == one.labels_N).mean()) for one in tables]
        sizes.append(len(drawn))
    told = sum(pair.is_told_apart for pair in pairs)
    return (
        f"{share:.0%} of each class, {round(np.mean(sizes)):,} photos".replace("%", " %"),
        f"{told} of {num_pairs}: {format_percent(wilson_interval(told, num_pairs))}",
        f"{np.median([pair.num_named_otherwise for pair in pairs]):.0f} of {len(test):,}",
        f"{np.mean(accuracies):.2%}".replace("%", " %"),
        machine(),
        f"{datetime.now(UTC):%Y-%m-%d}",
    )


def draw(frozen: Frozen, *, share: float, seed: int) -> tuple[str, ...]:
    """Draw whole groups of training photos, so many of each class."""
    generator = np.random.default_rng(seed)
    by_class: dict[str, dict[str, list[str]]] = {}
    for row in frozen.collected.splits.rows:
        if row.split == TRAIN:
            groups = by_class.setdefault(row.label, {})
            groups.setdefault(row.group or row.path, []).append(row.path)
    return tuple(
        sorted(path for groups in by_class.values() for path in _of(groups, share, generator))
    )


def _of(
    groups: Mapping[str, list[str]], share: float, generator: np.random.Generator
) -> Iterator[str]:
    names = sorted(groups)
    for place in generator.permutation(len(names))[: max(1, round(share * len(names)))].tolist():
        yield from groups[names[place]]


def predictions_of(
    photos: HeadPhotos,
    tested: Labelled,
    *,
    paths: tuple[str, ...],
    classes: tuple[str, ...],
    seed: int,
) -> Predictions:
    """Train a head with a seed and return what it makes of the test photos."""
    fit = train_head(
        photos,
        train=TrainConfig(strategy="head", epochs=EPOCHS, seed=seed, keep="last"),
        optim=OptimConfig(lr=LR),
        num_classes=len(classes),
    )
    logits_NC: NDArray[np.float32] = fit.head.logits(tested.features_NF).astype(np.float32)
    return Predictions(
        paths=paths,
        splits=np.full(len(paths), TEST),
        labels_N=tested.labels_N,
        classes=classes,
        logits_NC=logits_NC,
    )


if __name__ == "__main__":
    main()
