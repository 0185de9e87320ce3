"""Training photos drawn anew."""

import numpy as np

from fieldmark.studies.drawing import bootstrap


def test_photos_are_drawn_by_groups_within_classes() -> None:
    labels_N = np.array([0] * 6 + [1] * 4)
    groups_N = np.array([0, 0, 1, 2, 3, 4, 5, 6, 7, 7])
    for seed in range(30):
        drawn_N = bootstrap(labels_N, groups_N, seed=seed)
        assert set(labels_N[drawn_N]) == {0, 1}
        counts = np.bincount(drawn_N, minlength=10)
        assert counts[0] == counts[1]  # a group comes as a whole
        assert counts[8] == counts[9]
        num_groups = len(np.unique(groups_N))
        assert counts[[0, 2, 3, 4, 5, 6, 7, 8]].sum() == num_groups
    assert np.array_equal(
        bootstrap(labels_N, groups_N, seed=1), bootstrap(labels_N, groups_N, seed=1)
    )
