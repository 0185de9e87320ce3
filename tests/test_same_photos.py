"""Whether runs are judged by the same photos: what is refused, and in which words."""

from collections.abc import Mapping

import pytest

from fieldmark.base.errors import RunError
from fieldmark.same_photos import HeldOut, joint_groups, require_same_photos

PHOTOS = {"cat/1.png": "a" * 64, "cat/2.png": "b" * 64, "dog/1.png": "c" * 64}


def held_out(
    run: str = "one",
    photos: Mapping[str, str] = PHOTOS,
    *,
    labels: Mapping[str, str] | None = None,
    groups: Mapping[str, str] | None = None,
) -> HeldOut:
    classes = {path: path.split("/")[0] for path in photos} | dict(labels or {})
    return HeldOut(
        run=run,
        folder=f"runs/{run} 1",
        digests=dict(photos),
        labels=classes,
        groups={path: (groups or {}).get(path, "") for path in photos},
    )


def refusal(*runs: HeldOut) -> str:
    with pytest.raises(RunError) as refused:
        require_same_photos(runs)
    return str(refused.value)


def test_the_same_photos_pass_in_any_order() -> None:
    turned = dict(reversed(PHOTOS.items()))
    require_same_photos([held_out(), held_out("two", turned), held_out("three")])


def test_photos_of_one_run_only_are_counted_and_named_with_their_sha256() -> None:
    more = {f"fox/{place}.png": f"{place}" * 64 for place in range(7)}
    fewer = {path: digest for path, digest in PHOTOS.items() if path != "cat/2.png"}
    told = refusal(held_out(), held_out("two", fewer | more))
    assert "one has 1 photo that two has not (cat/2.png, SHA-256 bbbbbbbbbbbb…)" in told
    assert "two has 7 photos that one has not (fox/0.png, SHA-256 000000000000…, fox/1.png" in told
    assert "and 2 more)" in told
    assert "--split-file 'runs/one 1/splits.csv'" in told


def test_another_content_under_the_same_path_is_named_with_both_sha256() -> None:
    told = refusal(held_out(), held_out("two", PHOTOS | {"dog/1.png": "d" * 64}))
    assert "1 photo has another content (dog/1.png: cccccccccccc… in one, dddddddddddd… in" in told
    assert "that" not in told.partition("compared: ")[2].partition(". ")[0]


def test_a_content_that_a_run_does_not_know_is_not_another() -> None:
    require_same_photos([held_out(), held_out("two", PHOTOS | {"dog/1.png": ""})])


def test_another_class_of_the_same_photo_is_refused() -> None:
    told = refusal(held_out(), held_out("two", labels={"cat/1.png": "dog"}))
    assert "1 photo is of another class (cat/1.png: cat in one, dog in two)" in told


def test_each_run_that_differs_from_the_first_is_named() -> None:
    fewer = {path: digest for path, digest in PHOTOS.items() if path != "cat/2.png"}
    told = refusal(held_out(), held_out("two"), held_out("three", fewer), held_out("four", fewer))
    assert "that three has not" in told
    assert "that four has not" in told
    assert "two has" not in told.replace("that two has", "")


def test_what_one_run_says_belongs_together_does() -> None:
    one = held_out(groups={"cat/1.png": "x", "cat/2.png": "x"})
    other = held_out("two", groups={"cat/2.png": "x", "dog/1.png": "x"})
    alone = held_out("three")
    assert len(set(joint_groups([alone, alone]).values())) == 3
    assert len(set(joint_groups([one, alone]).values())) == 2
    joined = joint_groups([one, other])
    assert set(joined) == set(PHOTOS)
    assert len(set(joined.values())) == 1
