import numpy as np
import pytest
from numpy.typing import NDArray

from fieldmark.models.orientation import MIN_CHECKED, Verdict, judge_orientation

NUM_CLASSES, NUM_FEATURES = 3, 8


def clusters(labels: NDArray[np.int64], *, noise: float, seed: int) -> NDArray[np.float32]:
    """Return features that lie around a centre of their own for each class."""
    generator = np.random.default_rng(seed)
    centres = np.random.default_rng(0).normal(size=(NUM_CLASSES, NUM_FEATURES)) * 3
    spread = generator.normal(scale=noise, size=(len(labels), NUM_FEATURES))
    return (centres[labels] + spread).astype(np.float32)


def judged(*, good: str, num_noted: int = 60, seed: int = 1) -> Verdict:
    """Judge photos of which one reading is like the upright ones, the other like another class."""
    labels_N = np.arange(num_noted) % NUM_CLASSES
    upright_labels_M = np.arange(120) % NUM_CLASSES
    clear = clusters(labels_N, noise=0.3, seed=seed)
    strange = clusters((labels_N + 1) % NUM_CLASSES, noise=0.3, seed=seed + 1)
    return judge_orientation(
        turned_NF=clear if good == "turned" else strange,
        stored_NF=clear if good == "stored" else strange,
        labels_N=labels_N,
        upright_MF=clusters(upright_labels_M, noise=0.3, seed=seed + 2),
        upright_labels_M=upright_labels_M,
    )


def test_stale_metadata_is_overruled_where_the_stored_reading_looks_like_the_other_photos() -> None:
    verdict = judged(good="stored")
    assert verdict.orientation == "stored"
    assert verdict.num_checked == 60
    assert verdict.z > 4


def test_metadata_is_obeyed_where_the_turned_reading_looks_like_the_other_photos() -> None:
    verdict = judged(good="turned")
    assert verdict.orientation == "exif"
    assert verdict.z < 0


@pytest.mark.parametrize("seed", range(5))
def test_metadata_is_obeyed_where_both_readings_look_alike(seed: int) -> None:
    labels_N = np.arange(60) % NUM_CLASSES
    upright_labels_M = np.arange(120) % NUM_CLASSES
    verdict = judge_orientation(
        turned_NF=clusters(labels_N, noise=1.0, seed=seed),
        stored_NF=clusters(labels_N, noise=1.0, seed=seed + 100),
        labels_N=labels_N,
        upright_MF=clusters(upright_labels_M, noise=1.0, seed=seed + 200),
        upright_labels_M=upright_labels_M,
    )
    assert verdict.orientation == "exif"
    assert abs(verdict.z) < 4


def test_the_same_reading_twice_is_no_evidence() -> None:
    labels_N = np.arange(30) % NUM_CLASSES
    same = clusters(labels_N, noise=0.3, seed=3)
    verdict = judge_orientation(
        turned_NF=same,
        stored_NF=same,
        labels_N=labels_N,
        upright_MF=clusters(labels_N, noise=0.3, seed=4),
        upright_labels_M=labels_N,
    )
    assert (verdict.orientation, verdict.z) == ("exif", 0.0)


def test_few_photos_are_not_enough_to_overrule_the_metadata() -> None:
    assert judged(good="stored", num_noted=MIN_CHECKED).orientation == "stored"
    verdict = judged(good="stored", num_noted=MIN_CHECKED - 1)
    assert (verdict.orientation, verdict.num_checked) == ("exif", MIN_CHECKED - 1)


def test_photos_of_a_class_without_upright_ones_are_left_out() -> None:
    labels_N = np.arange(90) % NUM_CLASSES
    upright_labels_M = np.arange(60) % 2
    verdict = judge_orientation(
        turned_NF=clusters((labels_N + 1) % NUM_CLASSES, noise=0.3, seed=5),
        stored_NF=clusters(labels_N, noise=0.3, seed=6),
        labels_N=labels_N,
        upright_MF=clusters(upright_labels_M, noise=0.3, seed=7),
        upright_labels_M=upright_labels_M,
    )
    assert verdict.num_checked == 60
    assert verdict.orientation == "stored"


def test_one_class_of_upright_photos_cannot_judge() -> None:
    labels_N = np.zeros(40, dtype=np.int64)
    verdict = judge_orientation(
        turned_NF=clusters(labels_N + 1, noise=0.3, seed=8),
        stored_NF=clusters(labels_N, noise=0.3, seed=9),
        labels_N=labels_N,
        upright_MF=clusters(labels_N, noise=0.3, seed=10),
        upright_labels_M=labels_N,
    )
    assert verdict.orientation == "exif"
