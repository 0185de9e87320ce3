"""The user's groups are read from paths or a table, or refused with what to do about it."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldmark.base.errors import SplitError
from fieldmark.data.catalog import Catalog, CatalogRow
from fieldmark.data.group_by import check_group_by, note_groups, read_groups

PHOTOS = ("cat/anna_1.jpg", "cat/anna_2.jpg", "cat/bert_1.jpg", "dog/anna_3.jpg", "dog/x.jpg")


def catalog(*paths: str) -> Catalog:
    """Photos, and one that cannot be used."""
    rows = [
        CatalogRow(
            path=path,
            label=path.split("/")[0],
            width=1,
            height=1,
            num_bytes=1,
            sha256="0" * 64,
            status="excluded" if "bad" in path else "used",
            reason="empty file" if "bad" in path else "",
        )
        for path in (*(paths or PHOTOS), "dog/bad_1.jpg")
    ]
    return Catalog(root=Path("photos"), rows=tuple(rows))


def table(tmp_path: Path, text: str, *, encoding: str = "utf-8") -> str:
    path = tmp_path / "groups.csv"
    path.write_bytes(text.encode(encoding))
    return str(path)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (r"([a-z]+)_\d", ["anna", "anna", "bert", "anna", None]),
        (r"[a-z]+_", ["anna_", "anna_", "bert_", "anna_", None]),
        (r"(\w+/[a-z]+)_(\d)", ["cat/anna", "cat/anna", "cat/bert", "dog/anna", None]),
        (r"(?:cat|dog)/(\D*)_?", ["anna_", "anna_", "bert_", "anna_", "x.jpg"]),
        # A pair of brackets that takes no part, or matches nothing, names no group.
        (r"(anna)|bert", ["anna", "anna", None, "anna", None]),
        (r"cat/(anna)?", ["anna", "anna", None, None, None]),
    ],
)
def test_an_expression_names_the_group_by_its_first_brackets_or_all_of_it(
    spec: str, expected: list[str | None]
) -> None:
    found = read_groups(spec, catalog())
    assert [found.get(path) for path in PHOTOS] == expected
    assert set(found) <= set(PHOTOS)


@given(st.sampled_from(PHOTOS), st.integers(1, 8))
def test_what_is_searched_is_the_path_with_its_folder(path: str, length: int) -> None:
    spec = "^" + path[:length].replace(".", r"\.")
    matching = {photo for photo in PHOTOS if photo.startswith(path[:length])}
    assert set(read_groups(spec, catalog())) == matching


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        (r"cat/(\d", r"'cat/\(\\d'.*missing \), unterminated subpattern at character 5"),
        ("*", "nothing to repeat at character 1"),
        ("a{99999999999999999999}", "not a valid regular expression"),
        ("cow", r"gives no photo a group\. Paths look like 'cat/anna_1\.jpg'"),
        ("(q*)", "gives no photo a group"),
        ("jpg", "puts all photos into one group, 'jpg'"),
    ],
)
def test_an_expression_that_cannot_be_meant_is_refused(spec: str, told: str) -> None:
    with pytest.raises(SplitError, match=told):
        read_groups(spec, catalog())


def test_one_group_of_some_photos_is_no_mistake() -> None:
    assert set(read_groups("anna", catalog()).values()) == {"anna"}


def test_no_photos_are_no_reason_to_blame_the_expression() -> None:
    assert read_groups("x", Catalog(root=Path("photos"), rows=())) == {}


@pytest.mark.parametrize(
    "text",
    [
        "path,patient\ncat/anna_1.jpg,7\ndog/x.jpg,8\n",
        "Patient , age, Path\n 7 ,3, cat/anna_1.jpg \n\n8,,.\\dog\\x.jpg\ndog,1,cat/bert_1.jpg\n",
        "path,patient\r\n./cat/anna_1.jpg,7\r\ndog/x.jpg,8\r\ncat/bert_1.jpg,\r\n",
    ],
)
def test_a_table_names_the_group_of_the_photos_it_lists(tmp_path: Path, text: str) -> None:
    found = read_groups(table(tmp_path, text) + ":patient", catalog())
    found.pop("cat/bert_1.jpg", None)
    assert found == {"cat/anna_1.jpg": "7", "dog/x.jpg": "8"}


def test_a_photo_with_an_empty_cell_stands_alone(tmp_path: Path) -> None:
    text = "path,patient\ncat/anna_1.jpg,7\ncat/bert_1.jpg,  \n"
    assert read_groups(table(tmp_path, text) + ":patient", catalog()) == {"cat/anna_1.jpg": "7"}


def test_photos_that_cannot_be_used_may_be_listed_and_rows_repeated(tmp_path: Path) -> None:
    text = "path,patient\ndog/bad_1.jpg,7\ndog/x.jpg,7\ndog/x.jpg,7\n"
    assert read_groups(table(tmp_path, text) + ":patient", catalog()) == {"dog/x.jpg": "7"}


def test_a_column_may_have_a_colon_in_its_name(tmp_path: Path) -> None:
    path = table(tmp_path, "\ufeffpath,patient:id\ncat/anna_1.jpg,7\n")
    assert read_groups(f"{path}:patient:id", catalog()) == {"cat/anna_1.jpg": "7"}


def test_a_table_may_be_divided_by_semicolons(tmp_path: Path) -> None:
    path = table(tmp_path, "path;patient\ncat/anna_1.jpg;7\n")
    assert read_groups(f"{path}:patient", catalog()) == {"cat/anna_1.jpg": "7"}


def test_a_table_lies_in_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table(tmp_path, "path,patient\ncat/anna_1.jpg,7\n")
    monkeypatch.chdir(tmp_path)
    assert read_groups("groups.CSV:patient".lower(), catalog()) == {"cat/anna_1.jpg": "7"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("path,pateint\ncat/anna_1.jpg,7\n", "no column 'patient'. Did you mean 'pateint'"),
        ("file,patient\ncat/anna_1.jpg,7\n", "no column 'path'.* names: file, patient"),
        ("", "no column 'path'.* names: nothing"),
        ("path,patient\ncat/anna_1.jpg\n", "row 2: 1 values where the first line names 2"),
        ("path,patient\ncow/1.jpg,7\n", r"1 not in photos \(cow/1\.jpg\)"),
        ("path,patient\ndog/x.jpg,7\ndog/x.jpg,8\n", "row 3: dog/x.jpg is of '8', but.*'7'"),
        ("path,patient\ncat/anna_1.jpg,\n", "gives no photo a group"),
        ("path,patient\n" + "".join(f"{p},1\n" for p in PHOTOS), "puts all photos into one group"),
    ],
)
def test_what_is_wrong_with_a_table_is_named(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(SplitError, match=told):
        read_groups(table(tmp_path, text) + ":patient", catalog())


def test_many_unknown_photos_are_counted_and_three_shown(tmp_path: Path) -> None:
    text = "path,patient\n" + "".join(f"cow/{number}.jpg,7\n" for number in range(50))
    with pytest.raises(SplitError, match=r"50 not in photos \(cow/0.jpg; .*cow/2.jpg; \.\.\.\)"):
        read_groups(table(tmp_path, text) + ":patient", catalog())


def test_a_table_that_is_missing_or_no_text_is_refused(tmp_path: Path) -> None:
    table(tmp_path, "path,patient\nété,7\n", encoding="latin-1")
    with pytest.raises(SplitError, match=r"There is no table.*Did you mean 'groups\.csv'"):
        read_groups(f"{tmp_path}/group.csv:patient", catalog())
    with pytest.raises(SplitError, match=r"groups\.csv cannot be read"):
        read_groups(f"{tmp_path}/groups.csv:patient", catalog())


def test_a_table_without_a_column_is_told_the_columns(tmp_path: Path) -> None:
    spec = table(tmp_path, "path,patient,eye\n")
    with pytest.raises(SplitError, match=r"name the column.*names: path, patient, eye"):
        read_groups(spec, catalog())
    with pytest.raises(SplitError, match="name the column"):
        check_group_by("not-there.csv")


def test_what_can_be_refused_without_photos_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table(tmp_path, "path,a\ncow/1.jpg,7\n")
    monkeypatch.chdir(tmp_path)
    check_group_by(r"([a-z]+)_\d")
    check_group_by("groups.csv:a")
    for spec in ("(", "groups.csv:b", "other.csv:a"):
        with pytest.raises(SplitError):
            check_group_by(spec)


def test_what_is_odd_about_groups_is_noted() -> None:
    assert note_groups(catalog("cat/1", "cat/2"), {"cat/1": "g", "cat/2": "g"}) == []
    alone, mixed = note_groups(catalog(), read_groups(r"([a-z]+)_\d", catalog()))
    assert alone.startswith("1 photo has no group by split.group_by")
    assert mixed.startswith("1 of 2 groups by split.group_by hold photos of several classes")
    lonely = note_groups(catalog(), {path: path for path in PHOTOS})
    assert lonely == ["split.group_by puts no two photos into one group."]
