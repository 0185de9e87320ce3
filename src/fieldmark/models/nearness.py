"""How like each other two photos are to a network: the cosine between their features.

In: features. Out: the nearest of those that are known. Everything that shows training photos like
a photo goes by this: `fieldmark explain`, the server, and what travels with a bundle.

Shapes: N known photos, F features.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

TINY = float(np.finfo(np.float32).tiny)
"""What features of length 0 are divided by."""


def units(features_NF: Floats) -> Floats:
    """Return features scaled to length 1 each, float32 (N, F)."""
    lengths_N1 = np.maximum(np.linalg.norm(features_NF, axis=1, keepdims=True), TINY)
    units_NF: Floats = (features_NF / lengths_N1).astype(np.float32)
    return units_NF


def nearest(units_NF: Floats, features_F: Floats, *, most: int) -> list[tuple[int, float]]:
    """Return the rows nearest to a photo with their cosines, -1 to 1, the nearest first.

    Args:
        units_NF: of the photos that are known, as `units` gives them.
        features_F: of the photo, of any length.
        most: how many to return, where there are as many.
    """
    cosines_N = units_NF @ units(features_F[None])[0]
    order = np.argsort(-cosines_N, kind="stable")[:most]
    return [(int(index), float(np.clip(cosines_N[index], -1, 1))) for index in order]
