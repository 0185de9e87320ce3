"""How much is still named right when photos are damaged: by kind, by strength, by class.

In: the `Predictions` of the same photos undamaged and damaged. Out: `Degradation`.
Not covered: damaging photos, and the document (`degradation_document`).

Shapes: N images, M damaged versions of each, C classes, K statistics, B resamples.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fieldmark.base.errors import EvaluationError
from fieldmark.evaluation.degradation_document import Curve, Degradation, SamplePhoto, Step
from fieldmark.evaluation.intervals import Estimate, bootstrap, group_indices, wilson_interval
from fieldmark.evaluation.predictions import Predictions


@dataclass(frozen=True, slots=True, kw_only=True)
class DamageKind:
    """A kind of damage as it is told of: how it is called, what is done, and how much of it."""

    key: str
    title: str
    what: str
    source: str
    amounts: tuple[float, ...]
    """At strength 1, 2 and so on."""
    told: tuple[str, ...]
    """The same in words."""


def measure(
    undamaged: Predictions,
    damaged: Mapping[str, Sequence[Predictions]],
    *,
    kinds: Sequence[DamageKind],
    digests: Mapping[str, str],
    groups: Mapping[str, str] | None = None,
    num_test: int,
    side_px: int,
    seed: int,
) -> Degradation:
    """Count what was named right, with intervals.

    Args:
        undamaged: of at least one photo.
        damaged: by the key of each kind, one for each strength, of the same photos in the same
            order.
        kinds: in the order in which they shall be told.
        digests: SHA-256 of each photo's file, by path.
        groups: of photos that are no independent evidence, by path; None where each stands alone.
        num_test: how many test photos there are, damaged or not.
        side_px: at which side they were damaged.
        seed: of the damage; also of the bootstrap.

    Raises:
        EvaluationError: no kinds or photos, a kind without predictions, or other photos.
    """
    _check(undamaged, damaged, kinds=kinds)
    before_N = _right(undamaged)
    after_NM = np.stack([_right(one) for kind in kinds for one in damaged[kind.key]], axis=1)
    drops = _drops(before_N[:, None] - after_NM, undamaged, kinds=kinds, groups=groups, seed=seed)
    steps = iter(drops.of_step)
    none = Estimate(value=0.0, low=0.0, high=0.0)
    curves = tuple(
        Curve(
            key=kind.key,
            title=kind.title,
            what=kind.what,
            source=kind.source,
            steps=tuple(
                _step(one, strength=place + 1, amount=amount, told=told, drop=next(steps))
                for place, (one, amount, told) in enumerate(
                    zip(damaged[kind.key], kind.amounts, kind.told, strict=True)
                )
            ),
            drop=drop,
        )
        for kind, drop in zip(kinds, drops.of_kind, strict=True)
    )
    return Degradation(
        num_photos=undamaged.num_images,
        num_test=num_test,
        seed=seed,
        side_px=side_px,
        num_of_class=_counts(undamaged, np.ones(undamaged.num_images)),
        undamaged=_step(undamaged, strength=0, amount=0.0, told="as it is", drop=none),
        curves=curves,
        drop_of_class=drops.of_class,
        sample=_sample(undamaged, drops.of_class, digests=digests),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Drops:
    of_step: list[Estimate]
    """Kind after kind, strength after strength."""
    of_kind: list[Estimate]
    of_class: dict[str, Estimate]


def _check(
    undamaged: Predictions,
    damaged: Mapping[str, Sequence[Predictions]],
    *,
    kinds: Sequence[DamageKind],
) -> None:
    if not undamaged.num_images or not kinds:
        raise EvaluationError("a measurement of damage needs at least one photo and one kind")
    for kind in kinds:
        given = damaged.get(kind.key, ())
        if len(given) != len(kind.amounts):
            raise EvaluationError(
                f"{kind.key} has {len(kind.amounts)} strengths; predictions of {len(given)} given"
            )
        if any(one.paths != undamaged.paths for one in given):
            raise EvaluationError(f"the photos under {kind.key} are not those undamaged")


def _right(predictions: Predictions) -> NDArray[np.float64]:
    right_N = predictions.predicted_N == predictions.labels_N
    result: NDArray[np.float64] = right_N.astype(np.float64)
    return result


def _counts(predictions: Predictions, weights_N: NDArray[np.float64]) -> dict[str, int]:
    """Add up weights by class, in the order of classes; classes without a photo are left out."""
    totals = np.bincount(predictions.labels_N, minlength=len(predictions.classes))
    sums = np.bincount(predictions.labels_N, weights_N, minlength=len(predictions.classes))
    named = zip(predictions.classes, totals.tolist(), sums.tolist(), strict=True)
    return {name: int(part) for name, total, part in named if total}


def _step(
    predictions: Predictions, *, strength: int, amount: float, told: str, drop: Estimate
) -> Step:
    right_N = _right(predictions)
    return Step(
        strength=strength,
        amount=amount,
        told=told,
        accuracy=wilson_interval(int(right_N.sum()), predictions.num_images),
        drop=drop,
        confidence=float(predictions.confidence_N.mean()),
        num_right=_counts(predictions, right_N),
        num_named={
            name: count
            for name, count in zip(
                predictions.classes,
                np.bincount(predictions.predicted_N, minlength=len(predictions.classes)).tolist(),
                strict=True,
            )
            if count
        },
    )


def _drops(
    gains_NM: NDArray[np.float64],
    undamaged: Predictions,
    *,
    kinds: Sequence[DamageKind],
    groups: Mapping[str, str] | None,
    seed: int,
) -> _Drops:
    """Estimate the loss at each step, under each kind and of each class, on the same resamples.

    Each photo stays with its own undamaged version (paired), and photos that belong together stay
    together: Davison and Hinkley, "Bootstrap Methods and their Application" (1997), section 3.8.
    """
    ends = np.cumsum([len(kind.amounts) for kind in kinds])[:-1]
    of_kind = [part.mean(axis=1) for part in np.split(gains_NM, ends, axis=1)]
    losses_NK = np.column_stack([gains_NM, *of_kind])
    names = list(_counts(undamaged, np.ones(undamaged.num_images)))
    labels = np.array([undamaged.classes.index(name) for name in names])
    is_class_NC = (undamaged.labels_N[:, None] == labels).astype(np.float64)
    everywhere_NK = np.ones_like(losses_NK)
    values_NK = np.column_stack([losses_NK, is_class_NC * gains_NM.mean(axis=1, keepdims=True)])
    weights_NK = np.column_stack([everywhere_NK, is_class_NC])
    groups_N = group_indices(undamaged.paths, groups)
    estimates = _ratios(values_NK, weights_NK, groups_N=groups_N, seed=seed)
    num_steps, num_kinds = gains_NM.shape[1], len(kinds)
    return _Drops(
        of_step=estimates[:num_steps],
        of_kind=estimates[num_steps : num_steps + num_kinds],
        of_class=dict(zip(names, estimates[num_steps + num_kinds :], strict=True)),
    )


def _ratios(
    values_NK: NDArray[np.float64],
    weights_NK: NDArray[np.float64],
    *,
    groups_N: NDArray[np.int64] | None,
    seed: int,
) -> list[Estimate]:
    """Estimate sum of values over sum of weights for each column.

    Where no photo of a column differs there is nothing to resample; its interval then reaches as
    far either way as Wilson's for no difference among as many groups.
    """
    num_images = len(values_NK)

    def statistics(indices_BN: NDArray[np.int64]) -> NDArray[np.float64]:
        rows = np.arange(len(indices_BN))[:, None] * num_images
        times = np.bincount((indices_BN + rows).ravel(), minlength=len(indices_BN) * num_images)
        times_BN = times.reshape(-1, num_images).astype(np.float64)
        sums_BK = times_BN @ values_NK
        ratios_BK: NDArray[np.float64] = sums_BK / np.maximum(times_BN @ weights_NK, 1.0)
        return ratios_BK

    found = bootstrap(
        statistics,
        num_images=num_images,
        generator=np.random.default_rng(seed),
        groups_N=groups_N,
    )
    units_N = np.arange(num_images) if groups_N is None else groups_N
    for place in np.flatnonzero(~values_NK.any(axis=0)).tolist():
        reach = wilson_interval(0, len(np.unique(units_N[weights_NK[:, place] > 0]))).high
        found[place] = Estimate(value=0.0, low=-reach, high=reach)
    return found


def _sample(
    undamaged: Predictions, drops: Mapping[str, Estimate], *, digests: Mapping[str, str]
) -> SamplePhoto:
    """Return the photo of middling confidence of the weakest class, named right if any is."""
    name = max(drops, key=lambda one: drops[one].value)
    of_class_N = undamaged.labels_N == undamaged.classes.index(name)
    right_N = of_class_N & (undamaged.predicted_N == undamaged.labels_N)
    places = np.flatnonzero(right_N if right_N.any() else of_class_N)
    order = places[np.argsort(undamaged.confidence_N[places], kind="stable")]
    path = undamaged.paths[int(order[len(order) // 2])]
    return SamplePhoto(path=path, sha256=digests[path], label=name)
