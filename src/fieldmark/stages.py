"""The stages of a training run, each a function from what the last one gave to its own.

In: a plan and the photos. Out: the classifier, how to read its photos, their features, its logits.
`workflow.train` puts them in order; `records` writes down what they leave.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fieldmark.base.progress import Progress
from fieldmark.collect import Collected, Gathered, put_pixels
from fieldmark.data.pixels import PixelStore
from fieldmark.data.preprocess import Preprocess
from fieldmark.evaluation.decision import DecisionRule, fit_decision
from fieldmark.evaluation.familiar_space import FamiliarSpace
from fieldmark.evaluation.predictions import SPLITS, Predictions
from fieldmark.models.classifier import Classifier
from fieldmark.models.features import FeatureCache, features_key
from fieldmark.models.inference import Predictor, choose_precision
from fieldmark.planning import Plan, assemble, freeze
from fieldmark.training.batches import Pictures
from fieldmark.training.checkpoint import Checkpoints
from fieldmark.training.config import FROZEN
from fieldmark.training.course import Watch
from fieldmark.training.head_strategy import learn_head
from fieldmark.training.strategies import Configs, Outcome, train_network, train_probe
from fieldmark.training.unfamiliar import fit_unfamiliar


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedded:
    """Features of photos by a backbone that has not been trained on them."""

    positions: dict[str, int]
    """The row of each photo, by path."""
    features_MF: NDArray[np.float32]
    key: str
    """Names everything that the features depend on."""

    def take(self, paths: Iterable[str]) -> NDArray[np.float32]:
        """Return the features of some photos, in the order asked for."""
        return self.features_MF[[self.positions[path] for path in paths]]


def build(
    plan: Plan, *, classes: tuple[str, ...], settled_before: str | None = None
) -> tuple[Classifier, Plan]:
    """Build the classifier with a fresh head; return it and the plan with its precision settled.

    That is the precision in which it predicts. A precision asked for training holds for both.

    Args:
        plan: of the run.
        classes: their names, in order.
        settled_before: the precision that a run which goes on began with; None: find it out.
    """
    recipe = plan.recipe
    classifier = assemble(
        plan.spec,
        plan.preprocess,
        classes=classes,
        precision="float32",
        views=recipe.augment.test_views,
        seed=recipe.train.seed,
    )
    is_open = recipe.model.precision == "auto"
    asked = recipe.train.precision if is_open else recipe.model.precision
    if is_open and asked == "auto" and settled_before is not None:
        precision, why = settled_before, "measured when the run began"
    else:
        precision, why = choose_precision(classifier, asked=asked, device=plan.device)
    if is_open and asked != "auto":
        why = "as train.precision"
    classifier = replace(
        classifier, architecture=replace(classifier.architecture, precision=precision)
    )
    freeze(classifier, recipe.train)
    reasons = dict(plan.reasons)
    if is_open:
        reasons["model.precision"] = why
    settled = replace(recipe, model=replace(recipe.model, precision=precision))
    return classifier, replace(plan, recipe=settled, reasons=reasons)


def photos_known(classifier: Classifier, *, plan: Plan) -> frozenset[str]:
    """Return the SHA-256 of the photos whose features are kept from before, however they lie."""
    if plan.spec.weights is None:
        return frozenset()
    as_stored = replace(classifier.preprocess, orientation="stored")
    readings = (classifier, replace(classifier, preprocess=as_stored))
    caches = [FeatureCache(key_of(reading, plan=plan)) for reading in readings]
    return frozenset().union(*(cache.known for cache in caches))


def key_of(classifier: Classifier, *, plan: Plan) -> str:
    """Return what names the features of this backbone, its weights and its preprocessing."""
    assert plan.spec.weights is not None
    return features_key(classifier, weights_sha256=plan.spec.weights.sha256, device=plan.device)


def embed(
    classifier: Classifier,
    gathered: Gathered,
    *,
    paths: Sequence[str],
    plan: Plan,
    progress: Progress,
    storage: Path | None = None,
) -> Embedded | None:
    """Compute or look up the features of photos by the backbone as it comes.

    None where its weights are random, and its features therefore worth nothing. Photos whose
    pixels were not gathered are read again; `storage` is where those go that are too many for
    memory.
    """
    if plan.spec.weights is None:
        return None
    key = key_of(classifier, plan=plan)
    cache = FeatureCache(key)
    sha256s = {row.path: row.sha256 for row in gathered.before.usable}
    unknown = [path for path in paths if sha256s[path] not in cache]
    store = _with_pixels(unknown, gathered, classifier.preprocess, storage=storage)
    progress.start("Features", total=len(paths), unit="photos")
    cached = cache.features(
        Predictor(classifier, device=plan.device),
        store.array,
        sha256s=[sha256s[path] for path in paths],
        rows_N=_rows(paths, store),
        on_batch=progress.advance,
    )
    features_MF = cached.features_NF
    reused = f", {cached.num_reused:,} of them from the cache" if cached.num_reused else ""
    progress.finish(f"{features_MF.shape[1]:,} a photo, {len(features_MF):,} photos{reused}")
    positions = {path: place for place, path in enumerate(paths)}
    return Embedded(positions=positions, features_MF=features_MF, key=key)


def _with_pixels(
    paths: Sequence[str], gathered: Gathered, preprocess: Preprocess, *, storage: Path | None
) -> PixelStore:
    """Return a store that has the pixels of these photos, if need be one of its own."""
    if gathered.store is not None and all(path in gathered.store for path in paths):
        return gathered.store
    store = PixelStore(capacity=len(paths), size_px=preprocess.size_px, storage=storage)
    put_pixels(paths, root=gathered.before.root, preprocess=preprocess, store=store)
    return store


def learn(
    classifier: Classifier,
    collected: Collected,
    embedded: Embedded | None,
    *,
    plan: Plan,
    progress: Progress,
    checkpoints: Checkpoints | None = None,
    watch: Watch | None = None,
) -> Outcome:
    """Train the classifier in place by the recipe's strategy, and predict every photo.

    Where `checkpoints` hold the beginning of this training, it goes on from there.
    """
    pictures = _pictures(collected, classes=classifier.classes)
    features_MF = embedded.take(collected.store.paths) if embedded else None
    recipe = plan.recipe
    configs = Configs(
        train=recipe.train, optim=recipe.optim, augment=recipe.augment, probe=recipe.probe
    )
    if recipe.train.strategy == "probe":
        assert features_MF is not None
        return train_probe(
            classifier,
            pictures,
            features_MF,
            config=recipe.probe,
            device=plan.device,
            progress=progress,
        )
    if recipe.train.strategy == "head":
        assert features_MF is not None
        return learn_head(
            classifier,
            pictures,
            features_MF,
            configs=configs,
            device=plan.device,
            progress=progress,
            watch=watch,
        )
    return train_network(
        classifier,
        pictures,
        features_MF,
        configs=configs,
        device=plan.device,
        progress=progress,
        checkpoints=checkpoints,
        watch=watch,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """How a classifier decides, and its predictions by that."""

    decision: DecisionRule
    familiar: FamiliarSpace | None
    """What the score for unfamiliar photos goes by, if that is needed."""
    predictions: Predictions


def decide(
    predictions: Predictions,
    outcome: Outcome,
    collected: Collected,
    embedded: Embedded | None,
    *,
    plan: Plan,
) -> Decided:
    """Fit the rule by which a classifier decides on its validation photos."""
    config, strategy = plan.recipe.abstain, plan.recipe.train.strategy
    groups = collected.splits.groups()
    decision = fit_decision(predictions, config=config, groups=groups)
    features_NF = None
    if strategy in FROZEN and embedded is not None:
        features_NF = embedded.take(predictions.paths)
    elif outcome.features_MF is not None:
        features_NF = outcome.features_MF[collected.store.indices(predictions.paths)]
    score = fit_unfamiliar(predictions, features_NF, rate=config.unfamiliar_rate)
    return Decided(
        decision=replace(decision, unfamiliar=score.rule),
        familiar=score.space,
        predictions=replace(
            predictions, temperature=decision.temperature, unfamiliarity_N=score.scores_N
        ),
    )


def _rows(paths: Sequence[str], store: PixelStore) -> NDArray[np.int64]:
    """Return where the pixels of photos are; -1 for those that are not in the store."""
    known = (store.index(path) if path in store else -1 for path in paths)
    return np.fromiter(known, np.int64, len(paths))


def _pictures(collected: Collected, *, classes: tuple[str, ...]) -> Pictures:
    store, rows = collected.store, {row.path: row for row in collected.catalog.rows}
    index = {name: number for number, name in enumerate(classes)}
    in_store = [rows[path] for path in store.paths]
    return Pictures(
        pixels_MHWC=store.array,
        labels_M=np.array([index.get(row.label, -1) for row in in_store], dtype=np.int64),
        rows={split: store.indices(collected.splits.paths(split)) for split in SPLITS},
        paths=store.paths,
    )
