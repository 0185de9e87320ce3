from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from fieldmark.audit import folds
from fieldmark.audit.shortcuts import (
    SAME_FOR_ALL,
    TOO_FEW,
    CueScore,
    ShortcutTest,
    describe_shortcuts,
    is_shortcut,
    measure_shortcuts,
)
from fieldmark.base.errors import RunError
from fieldmark.data.catalog import CatalogRow
from fieldmark.data.cues import Cues
from fieldmark.evaluation.document import from_plain, to_plain
from fieldmark.evaluation.intervals import Estimate, wilson_interval

CHANCE = Estimate(value=0.25, low=0.24, high=0.26)


def exactly(value: float, *, spread: float = 0.01) -> Estimate:
    return Estimate(value=value, low=value - spread, high=value + spread)


def score_of(key: str, accuracy: float, *, kind: str = "file", spread: float = 0.01) -> CueScore:
    return CueScore(
        key=key,
        title=key.replace("_", " ").capitalize(),
        description="",
        kind=kind,
        accuracy=exactly(accuracy, spread=spread),
        skill=(accuracy - 0.25) / 0.75,
        given_away=(),
        recall={"a": accuracy, "b": accuracy},
    )


def photo(
    label: str,
    place: int,
    *,
    size_px: tuple[int, int],
    thumbnail_SSC: NDArray[np.uint8],
    num_bytes: int = 5000,
) -> tuple[CatalogRow, Cues]:
    row = CatalogRow(
        path=f"{label}/{place:03d}.jpg",
        label=label,
        width=size_px[0],
        height=size_px[1],
        num_bytes=num_bytes,
        sha256=f"{label}{place:03d}".ljust(64, "0"),
        status="used",
        reason="",
    )
    cues = Cues(
        format="JPEG",
        mode="RGB",
        camera="",
        orientation=1,
        stored_width=size_px[0],
        stored_height=size_px[1],
        brightness=0.0,
        contrast=0.0,
        sharpness=0.0,
        thumbnail_SSC=thumbnail_SSC,
    )
    return row, cues


def with_shape(generator: np.random.Generator, *, is_disc: bool) -> NDArray[np.uint8]:
    """Draw a disc or a cross of the same area, of any colour, at any place, on any background."""
    y, x = np.mgrid[:32, :32] - generator.uniform(10, 21, size=(2, 1, 1))
    near, far = np.minimum(abs(x), abs(y)), np.maximum(abs(x), abs(y))
    shape = x**2 + y**2 < 6.2**2 if is_disc else (near < 2) & (far < 8.6)
    background, ink = generator.integers(0, 256, (2, 3))
    drawn: NDArray[np.uint8] = np.where(shape[..., None], ink, background).astype(np.uint8)
    return drawn


def shapes(per_class: int, *, sized_by_class: bool) -> list[tuple[CatalogRow, Cues]]:
    generator = np.random.default_rng(4)
    photos = []
    for label in ("cross", "disc"):
        for place in range(per_class):
            low = 200 if sized_by_class and label == "disc" else 100
            width, height = generator.integers(low, low + 100, 2).tolist()
            drawn = with_shape(generator, is_disc=label == "disc")
            size_px = (width, height)
            taken = int(generator.integers(2000, 9000))
            photos.append(
                photo(label, place, size_px=size_px, thumbnail_SSC=drawn, num_bytes=taken)
            )
    return photos


def measure(photos: list[tuple[CatalogRow, Cues]], **wishes: int) -> ShortcutTest:
    rows = [row for row, _ in photos]
    cues = {row.path: measured for row, measured in photos}
    return measure_shortcuts(rows, cues, [row.sha256 for row in rows], **wishes)


def by_key(test: ShortcutTest) -> dict[str, CueScore]:
    return {score.key: score for score in test.cues}


@pytest.fixture(scope="module", autouse=True)
def few_trees() -> Iterator[None]:
    """Let a few trees do for a few photos; most of the time goes into planting them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(folds, "NUM_TREES", 15)
        yield


@pytest.fixture(scope="module")
def sized(few_trees: None) -> ShortcutTest:
    return measure(shapes(80, sized_by_class=True))


def test_a_size_that_differs_by_class_is_named_with_its_accuracy(sized: ShortcutTest) -> None:
    size = by_key(sized)["size"]
    assert is_shortcut(size)
    assert size.accuracy.value > 0.95
    assert size.skill == pytest.approx(2 * size.accuracy.value - 1)
    assert size.given_away == ("cross", "disc")
    assert sized.chance == wilson_interval(80, 160)
    (sentence, *_) = [s for s in describe_shortcuts(sized, None) if s.startswith("Image size")]
    assert f"{100 * size.accuracy.value:.1f} %" in sentence
    assert "always guessing the largest class would get 50.0 %" in sentence
    assert sentence.endswith("It gives away cross and disc.")


def test_photos_that_differ_by_the_shape_of_the_subject_have_no_shortcut() -> None:
    test = measure(shapes(80, sized_by_class=False))
    assert test.shortcuts == ()
    assert describe_shortcuts(test, None) == []
    assert not any(score.given_away for score in test.cues)


def test_a_cue_that_never_differs_is_chance_and_says_so(sized: ShortcutTest) -> None:
    camera = by_key(sized)["camera"]
    assert (camera.note, camera.skill, camera.given_away) == (SAME_FOR_ALL, 0.0, ())
    assert camera.accuracy == sized.chance
    assert camera.recall == {"cross": 1.0, "disc": 0.0}
    assert camera.precision == {"cross": 0.5, "disc": 0.0}
    assert not is_shortcut(camera)


def test_the_order_of_photos_changes_nothing(sized: ShortcutTest) -> None:
    assert measure(shapes(80, sized_by_class=True)[::-1]) == sized


def test_copies_in_one_group_are_not_recognised_by_each_other() -> None:
    generator = np.random.default_rng(0)
    photos: list[tuple[CatalogRow, Cues]] = []
    groups = []
    for scene in range(40):
        drawn = generator.integers(0, 256, (32, 32, 3), dtype=np.uint8)
        for place in range(4):
            size_px = (100 + scene, 100)
            # Which class a scene has is chance, so nothing but its copies can tell it.
            label = "ab"[int(generator.integers(2))] if place == 0 else photos[-1][0].label
            photos.append(photo(label, 10 * scene + place, size_px=size_px, thumbnail_SSC=drawn))
            groups.append(f"scene {scene}")
    rows, cues = [row for row, _ in photos], {row.path: measured for row, measured in photos}
    apart = measure_shortcuts(rows, cues, [row.path for row in rows])
    together = measure_shortcuts(rows, cues, groups)
    assert by_key(apart)["thumbnail"].accuracy.value > 0.9
    assert by_key(together)["thumbnail"].accuracy.value < 0.7


def test_of_many_photos_each_class_gives_its_share() -> None:
    blank = np.zeros((32, 32, 3), dtype=np.uint8)
    counts = {"a": 70, "b": 20, "c": 10}
    photos = [
        photo(label, i, size_px=(10 + i, 10), thumbnail_SSC=blank)
        for label, count in counts.items()
        for i in range(count)
    ]
    test = measure(photos, max_photos=50)
    assert test.num_photos == 50
    assert test.chance == wilson_interval(35, 50)
    assert set(by_key(test)["size"].recall) == {"a", "b", "c"}
    assert measure(photos, max_photos=50, seed=0) == test


def test_classes_that_share_all_there_is_are_not_given_away_by_few_photos() -> None:
    blank = np.zeros((32, 32, 3), dtype=np.uint8)
    tiny = [photo("tiny", i, size_px=(900, 900), thumbnail_SSC=blank) for i in range(3)]
    rest = [photo("rest", i, size_px=(50 + i % 7, 60), thumbnail_SSC=blank) for i in range(60)]
    size = by_key(measure(tiny + rest))["size"]
    assert "tiny" not in size.given_away


@pytest.mark.parametrize("num_photos", [1, 2, 3])
def test_a_handful_of_photos_does_not_fail(num_photos: int) -> None:
    generator = np.random.default_rng(1)
    photos = [
        photo(
            "ab"[i % 2], i, size_px=(10 + i, 10), thumbnail_SSC=with_shape(generator, is_disc=True)
        )
        for i in range(num_photos)
    ]
    test = measure(photos)
    assert test.num_photos == num_photos
    assert test.shortcuts == ()


def test_one_class_or_one_group_is_not_measured() -> None:
    photos = shapes(4, sized_by_class=True)
    rows, cues = [row for row, _ in photos], {row.path: measured for row, measured in photos}
    one_group = measure_shortcuts(rows, cues, ["same"] * len(rows))
    one_class = measure(photos[:4])
    assert by_key(one_group)["size"].note == by_key(one_class)["size"].note == TOO_FEW
    assert one_class.chance.value == 1.0
    assert all(score.skill == 0.0 for score in one_class.cues)


def test_no_photo_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="no photo"):
        measure([])


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        # Skill 0.2 at a chance of 0.25 is an accuracy of 0.4.
        (score_of("size", 0.401), True),
        (score_of("size", 0.399), False),
        (score_of("size", 0.45, spread=0.25), False),
        (score_of("size", 1.0, spread=0.0), True),
        # 0.6 is an accuracy of 0.7, and 0.5 one of 0.625.
        (score_of("mean_colour", 0.71, kind="picture"), True),
        (score_of("mean_colour", 0.69, kind="picture"), False),
        (score_of("border", 0.63, kind="picture"), True),
        (score_of("border", 0.62, kind="picture"), False),
        (score_of("thumbnail", 0.98, kind="picture"), False),
    ],
)
def test_a_shortcut_goes_far_for_its_kind_and_surely_further_than_chance(
    score: CueScore, *, expected: bool
) -> None:
    assert is_shortcut(score) is expected


def test_shortcuts_of_the_file_come_first_and_the_plainest_of_them_before() -> None:
    cues = (
        score_of("size", 0.6),
        score_of("file", 0.7),
        score_of("metadata", 0.71),
        score_of("border", 0.9, kind="picture"),
    )
    # All of the file together goes no further than the intervals of one part allow.
    test = ShortcutTest(cues=cues, chance=CHANCE)
    assert [score.key for score in test.shortcuts] == ["size", "file", "border"]
    together = replace(test, cues=(*cues[:2], score_of("metadata", 0.8), cues[3]))
    assert [score.key for score in together.shortcuts] == ["size", "file", "metadata", "border"]


def test_sentences_compare_with_guessing_and_with_the_classifier() -> None:
    size = replace(score_of("size", 0.713), given_away=("car", "fruit", "person"))
    border = score_of("border", 0.9, kind="picture")
    test = ShortcutTest(cues=(border, size), chance=CHANCE)
    first, second = describe_shortcuts(test, exactly(0.905))
    assert first == (
        "Size alone names the class of 71.3 % of the photos (70.3 to 72.3); always guessing the "
        "largest class would get 25.0 %, and the classifier gets 90.5 %. It gives away car, fruit "
        "and person."
    )
    assert second == (
        "Border alone names the class of 90.0 % of the photos (89.0 to 91.0). The classifier does "
        "no better, so it may have learned nothing else. This may be part of the subject, or only "
        "of where it was photographed."
    )


def test_sizes_that_tell_their_classes_are_told_with_the_size() -> None:
    blank = np.zeros((32, 32, 3), dtype=np.uint8)
    small = [photo("small", i, size_px=(100, 100), thumbnail_SSC=blank) for i in range(30)]
    large = [photo("large", i, size_px=(300 + i, 200), thumbnail_SSC=blank) for i in range(30)]
    test = measure(small + large)
    assert test.sizes == ("All photos of small, and no other, are 100x100 pixels.",)
    first, *others = describe_shortcuts(test, None)
    assert first.startswith("Image size alone names the class of 100 %")
    assert first.endswith(test.sizes[0])
    assert not any("100x100" in other for other in others)


def test_a_test_survives_json(sized: ShortcutTest) -> None:
    assert from_plain(ShortcutTest, to_plain(sized), where="shortcuts") == sized
    broken = to_plain(sized)
    del broken["cues"][1]["skill"]
    with pytest.raises(RunError, match=r"cues\[1\]: there is no skill"):
        from_plain(ShortcutTest, broken, where="shortcuts")
