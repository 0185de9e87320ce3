from collections.abc import Callable
from typing import Any

import pytest

from fieldmark.audit.mirrored import describe_mirrored, mirrored_folders
from fieldmark.data.catalog import Catalog

Make = Callable[..., Any]


@pytest.fixture
def archive(photo: Make, survey_of: Make) -> Make:
    """Return a function that makes a catalog of ten photos of two classes in each folder."""

    def make(*folders: str, without: tuple[str, ...] = (), plus: tuple[str, ...] = ()) -> Catalog:
        paths = [(f"{folder}{place}", place) for folder in folders for place in places()]
        kept = [photo(path, content=content) for path, content in paths if path not in without]
        catalog: Catalog = survey_of([*kept, *(photo(path) for path in plus)]).catalog
        return catalog

    return make


def places() -> list[str]:
    return [f"{label}/{n}.jpg" for label in ("cat", "dog") for n in range(10)]


@pytest.mark.parametrize(
    ("folders", "give", "repeated"),
    [
        (("natural/", "data/natural/"), "natural", "data/natural"),
        (("a/natural/", "b/natural/"), "a/natural", "b/natural"),
        (("b/", "a/"), "a", "b"),
        (("z/", "a/deep/"), "z", "a/deep"),
        (("", "copy/"), "copy", ""),
        (("all/", "all/copy/"), "all/copy", "all"),
        (("one/", "two/", "three/"), "one", "three"),
    ],
)
def test_folder_to_give_comes_before_the_one_that_repeats_it(
    folders: tuple[str, ...], give: str, repeated: str, archive: Make
) -> None:
    assert mirrored_folders(archive(*folders)) == (give, repeated)


def test_folder_with_more_photos_is_the_one_to_give(archive: Make) -> None:
    assert mirrored_folders(archive("a/", "b/", plus=("b/cat/new.jpg",))) == ("b", "a")


def test_a_tenth_of_the_photos_may_be_missing_from_the_second(archive: Make) -> None:
    missing = ("b/cat/0.jpg", "b/cat/1.jpg", "b/dog/0.jpg")
    assert mirrored_folders(archive("a/", "b/", without=missing[:2])) == ("a", "b")
    assert mirrored_folders(archive("a/", "b/", without=missing)) is None


def test_photos_without_copies_mirror_nothing(archive: Make, survey_of: Make) -> None:
    assert mirrored_folders(archive("a/")) is None
    assert mirrored_folders(survey_of([]).catalog) is None


def test_classes_with_the_same_photos_are_no_mirrored_folders(photo: Make, survey_of: Make) -> None:
    photos = [photo(f"{label}/{n}.jpg", content=str(n)) for label in "ab" for n in range(9)]
    assert mirrored_folders(survey_of(photos).catalog) is None


def test_copies_of_a_single_class_are_no_mirrored_folders(photo: Make, survey_of: Make) -> None:
    photos = [photo(f"{top}/cat/{n}.jpg", content=str(n)) for top in "ab" for n in range(9)]
    assert mirrored_folders(survey_of(photos).catalog) is None


def test_copies_under_other_names_are_no_mirrored_folders(photo: Make, survey_of: Make) -> None:
    photos = [photo(f"a/{place}", content=place) for place in places()]
    photos += [photo(f"b/{place[:-4]}-copy.jpg", content=place) for place in places()]
    assert mirrored_folders(survey_of(photos).catalog) is None


@pytest.mark.parametrize(
    ("folders", "told"),
    [
        (("n/", "data/n/"), "data/n holds the same 20 photos as n. Give PHOTOS/n."),
        (
            ("", "copy/"),
            "The folder of photos itself holds the same 20 photos as copy. Give PHOTOS/copy.",
        ),
    ],
)
def test_sentence_names_both_folders_and_the_one_to_give(
    folders: tuple[str, ...], told: str, archive: Make
) -> None:
    catalog = archive(*folders)
    found = mirrored_folders(catalog)
    assert found is not None
    assert describe_mirrored(catalog, found) == told
