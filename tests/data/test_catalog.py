"""The catalog: what counts, what it is called by, and that a file brings it back."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldmark.base.errors import RunError
from fieldmark.data.catalog import HEADER, Catalog, CatalogRow, read_catalog, write_catalog


def row(
    path: str, status: str = "used", reason: str = "", *, is_readable: bool = True
) -> CatalogRow:
    sha256 = hashlib.sha256(path.encode()).hexdigest()
    return CatalogRow(
        path=path,
        label=path.split("/", maxsplit=1)[0],
        width=4 if is_readable else None,
        height=3 if is_readable else None,
        num_bytes=100,
        sha256=sha256,
        status=status,  # type: ignore[arg-type]
        reason=reason,
    )


def catalog() -> Catalog:
    rows = (
        row("ant/1.jpg", "excluded", "empty file", is_readable=False),
        row("cat/1.jpg"),
        row("cat/2.jpg", "repaired", "converted from CMYK"),
        row("dog/1.jpg"),
        row("dog/notes.txt", "excluded", "not an image (.txt)", is_readable=False),
    )
    return Catalog(root=Path("photos"), rows=rows)


def test_used_and_repaired_photos_take_part() -> None:
    assert [usable.path for usable in catalog().usable] == ["cat/1.jpg", "cat/2.jpg", "dog/1.jpg"]
    assert catalog().classes == ("cat", "dog")
    assert catalog().counts() == {"cat": 2, "dog": 1}
    assert catalog().status_counts() == {"used": 2, "repaired": 1, "excluded": 2}


def test_only_what_was_meant_as_a_photo_is_lost() -> None:
    assert [row.path for row in catalog().rows if row.is_lost_photo] == ["ant/1.jpg"]


@pytest.mark.parametrize("reason", ["excluded by the labels file", "not in the split file"])
def test_what_was_read_and_left_out_on_purpose_is_not_lost(reason: str) -> None:
    left_out = catalog().exclude({"cat/1.jpg": reason})
    assert [row.path for row in left_out.rows if row.is_lost_photo] == ["ant/1.jpg"]


def test_the_digest_is_over_path_label_and_content_of_the_usable() -> None:
    whole = catalog()
    text = "".join(f"{row.path}\0{row.label}\0{row.sha256}\n" for row in whole.usable)
    assert whole.digest == hashlib.sha256(text.encode()).hexdigest()
    moved = replace(whole, root=Path("elsewhere"), rows=whole.rows[1:])
    assert moved.digest == whole.digest
    first = whole.rows[1]
    for changed in (
        replace(first, path="cat/3.jpg"),
        replace(first, label="lion"),
        replace(first, sha256="0" * 64),
    ):
        assert replace(whole, rows=(changed, *whole.rows[2:])).digest != whole.digest


def test_excluding_gives_a_new_catalog_with_the_reason() -> None:
    before = catalog()
    after = before.exclude({"cat/2.jpg": "same bytes as cat/1.jpg"})
    assert after.counts() == {"cat": 1, "dog": 1}
    assert after.rows[2].reason == "same bytes as cat/1.jpg"
    assert after.rows[2].sha256 == before.rows[2].sha256
    assert before.counts() == {"cat": 2, "dog": 1}
    assert before.exclude({}) == before


def test_excluding_what_is_not_there_is_a_key_error() -> None:
    with pytest.raises(KeyError, match=r"cow/1\.jpg"):
        catalog().exclude({"cow/1.jpg": "gone"})


def test_the_file_has_the_agreed_columns(tmp_path: Path) -> None:
    write_catalog(tmp_path / "catalog.csv", catalog())
    first, second, *_ = (tmp_path / "catalog.csv").read_text(encoding="utf-8").splitlines()
    assert first == "path,label,width,height,bytes,sha256,status,reason"
    sha256 = hashlib.sha256(b"ant/1.jpg").hexdigest()
    assert second == f"ant/1.jpg,ant,,,100,{sha256},excluded,empty file"


text = st.text(st.characters(blacklist_categories=["Cc", "Cs"]), max_size=12)


@given(
    st.lists(
        st.builds(
            CatalogRow,
            path=text,
            label=text,
            width=st.none() | st.integers(1, 10**6),
            height=st.none() | st.integers(1, 10**6),
            num_bytes=st.integers(0, 10**12),
            sha256=st.sampled_from(["", "a" * 64]),
            status=st.sampled_from(["used", "repaired", "excluded"]),
            reason=text,
        ),
        max_size=5,
    )
)
def test_a_file_brings_back_the_same(
    tmp_path_factory: pytest.TempPathFactory, rows: list[CatalogRow]
) -> None:
    path = tmp_path_factory.getbasetemp() / "catalog.csv"
    written = Catalog(root=Path("photos"), rows=tuple(rows))
    write_catalog(path, written)
    assert read_catalog(path, root=Path("photos")) == written


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("cat/1.jpg,cat,4,3,100,,used", "row 2: 7 values where 8 belong"),
        ("cat/1.jpg,cat,4,3,100,,maybe,", "row 2: status 'maybe'"),
        ("cat/1.jpg,cat,wide,3,100,,used,", "row 2: invalid literal"),
    ],
)
def test_a_line_that_is_not_valid_is_named(tmp_path: Path, line: str, told: str) -> None:
    path = tmp_path / "catalog.csv"
    path.write_text(",".join(HEADER) + "\n" + line + "\n", encoding="utf-8")
    with pytest.raises(RunError, match=told):
        read_catalog(path, root=tmp_path)


def test_a_file_that_is_no_catalog_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "catalog.csv"
    with pytest.raises(RunError, match="cannot be read"):
        read_catalog(path, root=tmp_path)
    path.write_text("", encoding="utf-8")
    with pytest.raises(RunError, match="is not a catalog"):
        read_catalog(path, root=tmp_path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(RunError, match="cannot be read"):
        read_catalog(path, root=tmp_path)
