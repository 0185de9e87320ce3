"""How unlike its training photos a classifier finds a photo, and the file that this takes.

In: a classifier, features and logits of photos. Out: their scores; a `FamiliarSpace` as bytes, and
back.
Not covered: the scores themselves (`evaluation.unfamiliar`), and fitting them
(`training.unfamiliar`).

Shapes: N photos, C classes, F features.
"""

from dataclasses import fields

import numpy as np
from numpy.typing import NDArray

from fieldmark.base.errors import BundleError
from fieldmark.evaluation.familiar_space import FamiliarSpace
from fieldmark.evaluation.unfamiliar import DISTANCE, UnfamiliarRule, unfamiliarity
from fieldmark.models.classifier import Classifier


def scores_of(
    classifier: Classifier, *, features_NF: NDArray[np.float32], logits_NC: NDArray[np.float32]
) -> NDArray[np.float64] | None:
    """Return how unlike its training photos others are, (N,); None where it has no such rule."""
    rule = classifier.decision.unfamiliar
    if rule is None:
        return None
    return unfamiliarity(rule, classifier.familiar, features_NF=features_NF, logits_NC=logits_NC)


def space_to_bytes(space: FamiliarSpace) -> bytes:
    """Return a space as the content of a safetensors file."""
    from safetensors.numpy import save

    return save(
        {part.name: np.ascontiguousarray(getattr(space, part.name)) for part in fields(space)}
    )


def space_from_bytes(content: bytes, *, where: str) -> FamiliarSpace:
    """Return the space of a safetensors file.

    Raises:
        BundleError: it is no such file, or its numbers do not fit each other; `where` names it.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        tensors = load(content)
        return FamiliarSpace(
            **{part.name: np.array(tensors[part.name]) for part in fields(FamiliarSpace)}
        )
    except (SafetensorError, LookupError, TypeError, ValueError) as error:
        raise BundleError(f"{where} is malformed: {error!r}.") from error


def check_space(
    space: FamiliarSpace | None,
    rule: UnfamiliarRule | None,
    *,
    num_features: int,
    num_classes: int,
    where: str,
) -> None:
    """Refuse a space that cannot be this classifier's, or that its rule goes by and is missing.

    Raises:
        BundleError: so it is; `where` names the file.
    """
    needs = rule is not None and rule.score == DISTANCE
    if space is None and needs:
        raise BundleError(f"{where} is missing, and the score for unfamiliar photos goes by it.")
    if space is None:
        return
    if space.num_features != num_features or len(space.means_CK) > num_classes:
        raise BundleError(
            f"{where} is of {space.num_features:,} features and {len(space.means_CK):,} classes, "
            f"but the classifier has {num_features:,} and {num_classes:,}."
        )
