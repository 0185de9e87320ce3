"""Labels put right: what the file asks for is done, and what does not fit is refused."""

from pathlib import Path

import pytest

from fieldmark.base.errors import DataError
from fieldmark.data.catalog import Catalog, CatalogRow
from fieldmark.data.label_file import (
    HEADER,
    Doubt,
    LabelChange,
    apply_changes,
    read_changes,
    write_doubts,
)


def row(path: str, *, status: str = "used", reason: str = "") -> CatalogRow:
    return CatalogRow(
        path=path,
        label=path.partition("/")[0],
        width=4,
        height=4,
        num_bytes=9,
        sha256="0" * 64,
        status=status,  # type: ignore[arg-type]
        reason=reason,
    )


@pytest.fixture
def catalog() -> Catalog:
    rows = (
        row("cat/1.jpg"),
        row("cat/2.jpg", status="repaired", reason="turned upright (EXIF orientation 6)"),
        row("cat/broken.jpg", status="excluded", reason="empty file"),
        row("dog/1.jpg"),
        row("dog/2, really.jpg"),
    )
    return Catalog(root=Path("photos"), rows=rows)


def write(folder: Path, *lines: str, header: str = ",".join(HEADER)) -> Path:
    path = folder / "labels.csv"
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return path


def test_an_edited_file_relabels_and_excludes(tmp_path: Path, catalog: Catalog) -> None:
    path = write(
        tmp_path,
        "cat/1.jpg,cat,dog,looks like dog,Relabel",
        "cat/2.jpg,cat,dog,looks like dog,relabel",
        '"dog/2, really.jpg",dog,cat,looks like cat,exclude',
        "dog/1.jpg,dog,cat,looks like cat,",
    )
    changes = read_changes(path, catalog)
    assert changes == (
        LabelChange(path="cat/1.jpg", label="cat", new_label="dog"),
        LabelChange(path="cat/2.jpg", label="cat", new_label="dog"),
        LabelChange(path="dog/2, really.jpg", label="dog", new_label=None),
    )
    changed = apply_changes(catalog, changes)
    told = {row.path: (row.label, row.status, row.reason) for row in changed.rows}
    assert told["cat/1.jpg"] == ("dog", "repaired", "relabelled from cat")
    assert told["cat/2.jpg"] == (
        "dog",
        "repaired",
        "turned upright (EXIF orientation 6); relabelled from cat",
    )
    assert told["dog/2, really.jpg"] == ("dog", "excluded", "excluded by the labels file")
    assert told["dog/1.jpg"] == ("dog", "used", "")
    assert changed.digest != catalog.digest


def test_what_was_written_asks_for_nothing_until_it_is_edited(
    tmp_path: Path, catalog: Catalog
) -> None:
    doubts = [
        Doubt(path="dog/2, really.jpg", label="dog", suggested="cat", reason='says "meow"'),
        Doubt(path="cat/1.jpg", label="cat", suggested="dog", reason="looks like dog"),
    ]
    path = tmp_path / "labels.csv"
    write_doubts(path, doubts)
    assert read_changes(path, catalog) == ()
    text = path.read_text("utf-8")
    assert text.splitlines()[0] == ",".join(HEADER)
    path.write_text(text.replace("looks like dog,", "looks like dog,relabel"), "utf-8")
    (change,) = read_changes(path, catalog)
    assert (change.path, change.new_label) == ("cat/1.jpg", "dog")


def test_a_file_as_a_spreadsheet_saves_it_is_read(tmp_path: Path, catalog: Catalog) -> None:
    path = tmp_path / "labels.csv"
    lines = "Path, Action ,New_Label\r\n.\\cat\\1.jpg,RELABEL,dog\r\n\r\ncat/2.jpg,keep,\r\n"
    path.write_bytes(b"\xef\xbb\xbf" + lines.encode())
    assert read_changes(path, catalog) == (
        LabelChange(path="cat/1.jpg", label="cat", new_label="dog"),
    )


@pytest.mark.parametrize(
    "path", [" cat/1.jpg", "a\\b/1.jpg", "./x/1.jpg", "cat/1.jpg ", "=a/1.jpg", "'=a/1.jpg"]
)
def test_paths_and_classes_come_back_as_they_were_written(tmp_path: Path, path: str) -> None:
    label = path.partition("/")[0]
    for other in (" z", "-z"):
        odd = Catalog(root=Path("photos"), rows=(row(path), row(f"{other}/1.jpg")))
        file = tmp_path / "labels.csv"
        write_doubts(file, [Doubt(path=path, label=label, suggested=other, reason="odd")])
        file.write_text(file.read_text("utf-8").replace(",odd,", ",odd,relabel"), "utf-8")
        assert read_changes(file, odd) == (LabelChange(path=path, label=label, new_label=other),)


def test_no_name_is_a_formula_to_a_spreadsheet(tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    write_doubts(file, [Doubt(path="=a/1.jpg", label="=a", suggested="@b", reason="looks like b")])
    (line,) = file.read_text("utf-8").splitlines()[1:]
    assert line == "'=a/1.jpg,'=a,'@b,looks like b,"


def test_relabelling_to_the_same_class_changes_nothing(tmp_path: Path, catalog: Catalog) -> None:
    path = write(tmp_path, "cat/1.jpg,cat,cat,,relabel")
    assert read_changes(path, catalog) == ()
    assert apply_changes(catalog, ()) == catalog


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("cat/9.jpg,cat,dog,,relabel", "no cat/9.jpg in the folder"),
        ("cat/1.jpg,dog,cat,,relabel", "listed with the label 'dog', but lies in the folder of"),
        ("cat/1.jpg,cat,dgo,,relabel", "Did you mean 'dog'"),
        ("cat/1.jpg,cat,,,relabel", "new_label is ''"),
        ("cat/1.jpg,cat,dog,,relable", "Did you mean 'relabel'"),
        ("cat/broken.jpg,cat,dog,,relabel", "not used anyway: empty file"),
        ("cat/1.jpg,cat", "2 values where the first line names 5"),
        ("cat/1.jpg,cat,dog,,relabel\ncat/1.jpg,cat,dog,,exclude", "row 3: cat/1.jpg is listed"),
    ],
)
def test_a_line_that_does_not_fit_is_refused(
    tmp_path: Path, catalog: Catalog, line: str, told: str
) -> None:
    with pytest.raises(DataError, match=r"labels\.csv, row") as caught:
        read_changes(write(tmp_path, line), catalog)
    assert told in str(caught.value)


def test_a_file_without_its_columns_or_not_text_is_refused(
    tmp_path: Path, catalog: Catalog
) -> None:
    with pytest.raises(DataError, match="must name the columns path and action"):
        read_changes(write(tmp_path, "cat/1.jpg", header="path"), catalog)
    (tmp_path / "labels.csv").write_bytes(b"path,action\n\xff\xfe,exclude\n")
    with pytest.raises(DataError, match="cannot be read"):
        read_changes(tmp_path / "labels.csv", catalog)
    with pytest.raises(DataError, match="cannot be read"):
        read_changes(tmp_path / "none.csv", catalog)
