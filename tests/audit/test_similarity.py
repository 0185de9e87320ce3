import io
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageFilter, ImageOps
from sklearn.datasets import load_digits

from fieldmark.audit import similarity
from fieldmark.audit.similarity import TURNS, Groups, find_similar

Thumbnails = NDArray[np.uint8]
SIZE = (160, 120)


def picture(seed: int, *, softest_px: int = 24) -> Image.Image:
    """Return coloured clouds with coarse and fine structure, as photos have it."""
    rng = np.random.default_rng(seed)
    pixels_HWC = np.zeros((SIZE[1], SIZE[0], 3))
    for width_px in (softest_px, softest_px // 3, softest_px // 8):
        noise = Image.fromarray(rng.integers(0, 256, (SIZE[1], SIZE[0], 3), dtype=np.uint8))
        layer = np.asarray(noise.filter(ImageFilter.GaussianBlur(width_px)), dtype=np.float64)
        pixels_HWC += (layer - layer.mean()) / layer.std() * width_px
    pixels_HWC = 128 + pixels_HWC / pixels_HWC.std() * 45
    return Image.fromarray(pixels_HWC.clip(0, 255).astype(np.uint8))


def thumbnail(image: Image.Image) -> Thumbnails:
    return np.asarray(image.convert("RGB").resize((32, 32), Image.Resampling.BOX))


def encoded(image: Image.Image, *, quality: int = 90) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer)


def cropped(
    image: Image.Image, left: float, top: float, right: float, bottom: float
) -> Image.Image:
    width, height = image.size
    box = (left * width, top * height, (1 - right) * width, (1 - bottom) * height)
    return image.crop((round(box[0]), round(box[1]), round(box[2]), round(box[3])))


def at_60_percent(image: Image.Image) -> Image.Image:
    return image.resize((SIZE[0] * 6 // 10, SIZE[1] * 6 // 10), Image.Resampling.LANCZOS)


def everything(image: Image.Image) -> Image.Image:
    image = ImageOps.mirror(cropped(image, 0.05, 0.05, 0.05, 0.05))
    return encoded(image.resize((96, 72), Image.Resampling.LANCZOS), quality=40)


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "encoded at quality 40": lambda image: encoded(image, quality=40),
    "resized to 60 percent": at_60_percent,
    "mirrored": ImageOps.mirror,
    "5 percent off each side": lambda image: cropped(image, 0.05, 0.05, 0.05, 0.05),
    "5 percent off the left": lambda image: cropped(image, 0.05, 0, 0, 0),
    "5 percent off the bottom": lambda image: cropped(image, 0, 0, 0, 0.05),
    "a corner off": lambda image: cropped(image, 0.05, 0.05, 0, 0),
    "all of it": everything,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_every_changed_photo_is_found_and_nothing_else(
    change: Callable[[Image.Image], Image.Image],
) -> None:
    photos = [picture(seed) for seed in range(12)]
    changed = [change(photo) for photo in photos]
    found = find_similar(np.stack([thumbnail(image) for image in photos + changed]))
    assert [(pair.first, pair.second) for pair in found] == [(n, n + 12) for n in range(12)]
    assert all(pair.similarity <= 1 for pair in found)


@pytest.mark.parametrize("turn", TURNS)
def test_a_turn_is_named_by_what_undoes_it(turn: str) -> None:
    first = thumbnail(picture(1))
    second = Image.fromarray(first)
    is_mirrored = turn.endswith("mirrored")
    degrees = int(turn.split()[1]) if turn.startswith("turned") else 0
    # The other way round: mirror back, then turn back, which Pillow does counter-clockwise.
    second = ImageOps.mirror(second) if is_mirrored else second
    second = second.rotate(degrees)
    (pair,) = find_similar(np.stack([first, np.asarray(second)]))
    assert pair.turn == turn
    assert pair.similarity == pytest.approx(1, abs=1e-3)


def test_photos_that_differ_are_not_joined() -> None:
    assert find_similar(np.stack([thumbnail(picture(seed)) for seed in range(80)])) == []


def test_the_same_shape_with_other_details_is_not_joined() -> None:
    y, x = np.mgrid[-1:1:32j, -1:1:32j]
    is_disc = (x**2 + y**2 < 0.7)[..., None]
    discs = []
    for seed in range(40):
        surface = np.asarray(picture(seed, softest_px=8).resize((32, 32)), dtype=np.float64)
        discs.append(np.where(is_disc, 110 + (surface - surface.mean()) * 0.4, 255))
    assert find_similar(np.stack(discs).astype(np.uint8)) == []


def test_another_colour_is_another_photo() -> None:
    photo = thumbnail(picture(3)).astype(int)
    warmer = photo + np.array([12, 0, -12])
    assert find_similar(np.stack([photo, warmer]).clip(0, 255).astype(np.uint8)) == []


@pytest.mark.parametrize("spread", [0.0, 1.5, 25.0])
def test_plain_colours_with_noise_are_not_joined(spread: float) -> None:
    rng = np.random.default_rng(0)
    noisy = np.array([190, 60, 90]) + rng.normal(0, spread, (100, 32, 32, 3))
    assert find_similar(noisy.clip(0, 255).astype(np.uint8)) == []


def test_skies_that_darken_alike_are_not_joined() -> None:
    rng = np.random.default_rng(0)
    slope = np.linspace(180, 90, 32)[:, None, None] * np.array([0.8, 0.95, 1.1])
    skies = slope + rng.normal(0, 1.5, (60, 32, 32, 3))
    assert find_similar(skies.clip(0, 255).astype(np.uint8)) == []


def test_handwritten_digits_are_hardly_ever_joined() -> None:
    images = np.rint(load_digits().images[:800] * (255 / 16)).astype(np.uint8)
    digits = np.stack([thumbnail(Image.fromarray(image)) for image in images])
    assert len(find_similar(digits)) <= 1


def test_small_and_large_differences_are_told_apart_by_the_similarity() -> None:
    photo = picture(5)
    found = find_similar(
        np.stack([thumbnail(image) for image in (photo, encoded(photo), everything(photo))])
    )
    by_pair = {(pair.first, pair.second): pair.similarity for pair in found}
    assert by_pair[0, 1] > by_pair[0, 2]


@settings(max_examples=15, deadline=None)
@given(order=st.permutations(range(12)))
def test_the_order_of_the_photos_does_not_matter(order: list[int]) -> None:
    photos = [picture(seed) for seed in range(6)]
    thumbnails = np.stack([thumbnail(image) for image in photos + [everything(p) for p in photos]])
    found = find_similar(thumbnails[order])
    assert {frozenset((order[pair.first], order[pair.second])) for pair in found} == {
        frozenset((n, n + 6)) for n in range(6)
    }
    assert [(pair.first, pair.second) for pair in found] == sorted(
        (pair.first, pair.second) for pair in found
    )


def test_the_same_photos_give_the_same_pairs() -> None:
    photos = [picture(seed) for seed in range(6)]
    thumbnails = np.stack([thumbnail(image) for image in photos + [everything(p) for p in photos]])
    assert find_similar(thumbnails) == find_similar(thumbnails)


def test_frames_of_one_scene_are_connected_without_comparing_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(similarity, "ENOUGH_PARTNERS", 5)
    monkeypatch.setattr(similarity, "BATCH_PAIRS", 8)
    rng = np.random.default_rng(0)
    scene = thumbnail(picture(7)).astype(int)
    frames = (scene + rng.integers(-2, 3, (150, 32, 32, 3))).clip(0, 255).astype(np.uint8)
    found = find_similar(frames)
    groups = Groups(len(frames))
    for pair in found:
        groups.join(pair.first, pair.second)
    assert set(groups.roots().tolist()) == {0}
    assert len(found) < 0.5 * 150 * 149 / 2


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_photos_have_no_pairs(count: int) -> None:
    assert find_similar(np.zeros((count, 32, 32, 3), dtype=np.uint8)) == []


@given(
    pairs=st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)), max_size=25),
)
def test_groups_are_the_connected_components(pairs: list[tuple[int, int]]) -> None:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    groups = Groups(20)
    for one, other in pairs:
        groups.join(one, other)
    ends = np.array(pairs, dtype=int).reshape(-1, 2)
    graph = coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(20, 20))
    labels = connected_components(graph, directed=False)[1]
    roots = groups.roots()
    assert roots.tolist() == [int(np.flatnonzero(labels == label)[0]) for label in labels]
    every = np.array([(one, other) for one in range(20) for other in range(20)])
    assert np.array_equal(groups.joined(every), labels[every[:, 0]] == labels[every[:, 1]])
