"""What stands in the way of training is said all at once, by name, before anything slow begins."""

from pathlib import Path

import pytest

from fieldmark.base.errors import DataError
from fieldmark.data.catalog import Catalog, CatalogRow
from fieldmark.data.trainable import require_files, require_trainable

ON_PURPOSE = "excluded by the labels file"


def catalog(**reasons: list[str]) -> Catalog:
    """Rows by class; an empty reason is a usable photo."""
    rows = [
        CatalogRow(
            path=f"{label}/{number}.jpg",
            label=label,
            width=9 if reason in {"", ON_PURPOSE} else None,
            height=9 if reason in {"", ON_PURPOSE} else None,
            num_bytes=1,
            sha256="",
            status="excluded" if reason else "used",
            reason=reason,
        )
        for label, some in reasons.items()
        for number, reason in enumerate(some)
    ]
    return Catalog(root=Path("photos"), rows=tuple(rows))


def message(of: Catalog) -> str:
    with pytest.raises(DataError) as caught:
        require_trainable(of)
    return str(caught.value)


def test_two_classes_of_two_photos_suffice() -> None:
    require_trainable(catalog(cat=["", ""], dog=["", ""]))


def test_text_files_and_hidden_folders_are_in_nobodys_way() -> None:
    odd = {"docs": ["not an image (.md)"], ".git": ["in a hidden or system folder"]}
    require_trainable(catalog(cat=["", "", "hidden file"], dog=["", ""], **odd))


def test_an_empty_folder_is_told_how_to_be_filled() -> None:
    text = message(catalog())
    assert "the folder is empty" in text
    assert "photos/cat/1.jpg" in text


def test_loose_photos_are_told_to_go_into_folders() -> None:
    loose = catalog(x=["not in a class folder", "not in a class folder"])
    assert "2 photos lie in no class folder, such as x/0.jpg" in message(loose)


def test_files_without_a_photo_are_counted_by_reason() -> None:
    text = message(catalog(a=["not an image (.txt)"] * 3, b=["empty file"]))
    assert "4 files were met: 3 × not an image (.txt); 1 × empty file" in text


def test_a_folder_is_refused_by_its_names_alone_where_none_could_be_a_photo(
    tmp_path: Path,
) -> None:
    with pytest.raises(DataError, match=f"{tmp_path}: the folder is empty"):
        require_files(tmp_path)
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "notes.txt").write_text("of cats")
    told = r"though 1 file was met: 1 × not an image \(\.txt\)\. Give each class a folder"
    with pytest.raises(DataError, match=told):
        require_files(tmp_path)
    (tmp_path / "cat" / "1.jpg").touch()
    require_files(tmp_path)


def test_one_class_is_not_enough() -> None:
    text = message(catalog(cat=["", "", ""]))
    assert "only one class, 'cat' with 3 usable photos" in text


def test_a_class_with_a_single_photo_is_named_with_what_was_left_out() -> None:
    text = message(catalog(cat=["", ""], dog=["", "empty file", "empty file"], cow=[""]))
    assert "Only one usable photo of: 'cow', 'dog' (and left out: 2 × empty file)." in text
    assert "needs at least 2" in text


def test_a_class_whose_photos_were_all_left_out_is_named() -> None:
    reasons = ["a", "b", "b", "c", "d"]
    text = message(catalog(cat=["", ""], dog=["", ""], fox=reasons))
    assert "No photo can be used of: 'fox' (2 × b; 1 × a; 1 × c; 1 × other reasons)." in text


@pytest.mark.parametrize("others", [[], ["empty file"], ["hidden file"]])
def test_a_class_that_was_left_out_on_purpose_is_simply_gone(others: list[str]) -> None:
    require_trainable(catalog(cat=["", ""], dog=["", ""], fox=[*[ON_PURPOSE] * 41, *others]))


def test_a_class_that_lost_all_but_one_on_purpose_is_told_so() -> None:
    text = message(catalog(cat=["", ""], dog=["", ""], fox=["", ON_PURPOSE, ON_PURPOSE]))
    assert f"Only one usable photo of: 'fox' (and left out: 2 × {ON_PURPOSE})." in text


def test_everything_in_the_way_is_said_at_once() -> None:
    text = message(catalog(cat=[""], fox=["empty file"]))
    for part in ("No photo can be used of: 'fox'", "Only one usable photo of: 'cat'", "one class"):
        assert part in text


def test_many_classes_are_counted_rather_than_listed() -> None:
    text = message(catalog(**{f"c{number:02}": [""] for number in range(14)}))
    assert "'c09' and 4 more" in text
    assert "'c10'" not in text
