"""What the reference case begins with, for a peer: the photos' pixels and the first weights.

In: a folder of photos and a split file. Out: .npz files of the very pixels and weights that
`fieldmark train --recipe reference --weights none` starts from.
"""

from pathlib import Path
from typing import Any

import numpy as np

from fieldmark import planning
from fieldmark.arguments import recipe_asked
from fieldmark.base.executor import ThreadExecutor
from fieldmark.base.progress import SilentProgress
from fieldmark.data.scan import scan
from fieldmark.data.split_file import given_sides


def write_arrays(photos: Path, split_file: Path, *, out: Path) -> None:
    """Write train_images, train_labels, test_images and test_labels (one-hot)."""
    plan = planning.plan(recipe_asked("reference", backbone=None, weights="none", overrides=[]))
    scanned = scan(
        photos, preprocess=plan.preprocess, executor=ThreadExecutor(), progress=SilentProgress()
    )
    assert scanned.store is not None
    rows = {row.path: row for row in scanned.catalog.usable}
    sides = given_sides(scanned.catalog, split_file)
    classes = list(scanned.catalog.classes)
    arrays: dict[str, Any] = {}
    for side in ("train", "test"):
        paths = sorted(path for path in rows if sides.get(path) == side)
        labels_N = [classes.index(rows[path].label) for path in paths]
        arrays[f"{side}_images"] = scanned.store.take(paths)
        arrays[f"{side}_labels"] = np.eye(len(classes), dtype=np.float32)[labels_N]
    np.savez(out, **arrays)


def write_first_weights(*, num_classes: int, seed: int, out: Path) -> None:
    """Write the weights that a run with this seed starts from, under Keras' names."""
    plan = planning.plan(recipe_asked("reference", backbone=None, weights="none", overrides=[]))
    classifier = planning.assemble(
        plan.spec,
        plan.preprocess,
        classes=tuple(map(str, range(num_classes))),
        precision="float32",
        views=1,
        seed=seed,
    )
    prefix = "extractor.backbone."
    tensors: dict[str, Any] = {
        name.removeprefix(prefix): value.numpy()
        for name, value in classifier.network.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    np.savez(out, **tensors)
