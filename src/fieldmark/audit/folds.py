"""Cross-validation that never tears apart photos which belong together.

In: the group of each photo. Out: the fold of each photo, and what small models that have not seen
a photo make of it.
A group's fold follows from its name and the seed alone, so it stays where it is when photos are
added, and folds are only about equal in size.
Not covered: which photos form a group (see `duplicates`), and the splits of a training run.

Shapes: N photos, D numbers.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fieldmark.base.executor import ThreadExecutor

NUM_FOLDS = 5
"""Five or ten are the usual compromise between bias and variance (Hastie, Tibshirani and Friedman
2009, section 7.10.1); five take half the time."""
NUM_TREES, MIN_LEAF = 50, 3
"""Extremely randomized trees (Geurts, Ernst and Wehenkel 2006). On 5,000 photos 100 trees, or
random forests, came out within a point and took about twice as long."""


def fold_of(groups: Sequence[str], *, num_folds: int = NUM_FOLDS, seed: int) -> NDArray[np.int64]:
    """Return the fold of each photo, 0 to `num_folds` - 1.

    With two groups or more at least two folds hold photos: should all groups hash to one, the
    group that comes last by hash moves to the next fold, the only case in which a group's fold
    depends on the others.

    Args:
        groups: the name of the group of each photo, N of them; a photo that stands alone is named
            by itself, for example by its digest.
        num_folds: at least 2.
        seed: another seed, other folds.

    Returns:
        folds_N, int64.

    Raises:
        ValueError: if `num_folds` is below 2.
    """
    if num_folds < 2:
        raise ValueError(f"num_folds must be at least 2, met {num_folds}")
    hashes = {group: _hash(group, seed=seed) for group in sorted(set(groups))}
    folds = {group: number % num_folds for group, number in hashes.items()}
    if len(hashes) >= 2 and len(set(folds.values())) == 1:
        last = max(hashes, key=lambda group: (hashes[group], group))
        folds[last] = (folds[last] + 1) % num_folds
    return np.array([folds[group] for group in groups], dtype=np.int64)


def _hash(group: str, *, seed: int) -> int:
    content = f"{seed}:{group}".encode("utf-8", "surrogateescape")
    return int.from_bytes(hashlib.sha256(content).digest()[:8], "big")


def guess_out_of_fold(
    matrices: Sequence[NDArray[np.float32]],
    labels_N: NDArray[np.int64],
    folds_N: NDArray[np.int64],
    *,
    seed: int,
) -> list[NDArray[np.int64]]:
    """Return for each matrix the class of each photo (N) that the other folds suggest.

    Args:
        matrices: values_ND each, finite.
        labels_N: class indices.
        folds_N: at least two different ones.
        seed: of the trees.
    """

    def judge(task: tuple[int, int]) -> NDArray[np.int64]:
        which, fold = task
        values_ND, is_judged_N = matrices[which], folds_N == fold
        train_MD, labels_M = values_ND[~is_judged_N], labels_N[~is_judged_N]
        return _guess_by_trees(train_MD, labels_M, values_ND[is_judged_N], seed=seed)

    guesses = [np.zeros_like(labels_N) for _ in matrices]
    folds = np.unique(folds_N).tolist()
    tasks = [(which, fold) for which in range(len(matrices)) for fold in folds]
    for (which, fold), judged in zip(tasks, ThreadExecutor().map(judge, tasks), strict=True):
        guesses[which][folds_N == fold] = judged
    return guesses


def _guess_by_trees(
    train_MD: NDArray[np.float32],
    labels_M: NDArray[np.int64],
    judged_ND: NDArray[np.float32],
    *,
    seed: int,
) -> NDArray[np.int64]:
    """Return what scikit-learn's `ExtraTreesClassifier` would: the class of most trees' votes.

    Tree by tree, since the forest itself sets the warnings of the whole process while it works.
    Several at once, in threads, then come into each other's way: it warns of itself, and the
    settings made before may be lost.
    """
    from sklearn.tree import ExtraTreeClassifier
    from sklearn.utils import check_random_state

    train_MD, judged_ND = (
        np.ascontiguousarray(values, dtype=np.float32) for values in (train_MD, judged_ND)
    )
    seeds = check_random_state(seed).randint(np.iinfo(np.int32).max, size=NUM_TREES)
    votes_NC = np.zeros((len(judged_ND), len(np.unique(labels_M))))
    for of_tree in seeds.tolist():
        tree = ExtraTreeClassifier(min_samples_leaf=MIN_LEAF, random_state=of_tree)
        tree.fit(train_MD, labels_M, check_input=False)
        votes_NC += tree.predict_proba(judged_ND, check_input=False)
    guessed_N: NDArray[np.int64] = np.unique(labels_M)[np.argmax(votes_NC, axis=1)]
    return guessed_N
