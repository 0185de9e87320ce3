"""Tables as text: columns, alignment, and names that are kept to the letter."""

import re

import pytest

from fieldmark.base.tables import add_row, drawn, new_table

WORDS = " ".join(["word"] * 60)


def lines_of(*rows: tuple[str, ...], right: tuple[str, ...] | None = None) -> list[str]:
    table = new_table("Name", "One", "Other", right=right)
    for row in rows:
        add_row(table, *row)
    return drawn(table).splitlines()


def test_all_columns_but_the_first_stand_to_the_right() -> None:
    header, _, row = lines_of(("a long name", "1", "22"))
    assert header.index("Name") == row.index("a long name")
    assert header.index("One") + len("One") == row.index(" 1 ") + len(" 1")
    assert len(header) == len(row)


def test_columns_that_are_not_named_stand_to_the_left() -> None:
    header, _, row = lines_of(("name", "first words", "2"), right=("Other",))
    assert header.index("One") == row.index("first words")
    assert row.endswith("    2")


def test_a_table_that_goes_elsewhere_is_not_folded() -> None:
    assert WORDS in lines_of(("name", WORDS, ""))[-1]


def test_a_table_is_as_wide_as_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "40")
    folded = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in lines_of(("name", WORDS, ""))]
    assert len(folded) > 5
    assert max(map(len, folded)) <= 40
    assert sum(line.count("word") for line in folded) == 60


@pytest.mark.parametrize("name", ["[bold]x[/]", ":car:", "[/]", "Größe 東京", "a  b"])
def test_no_name_is_taken_for_markup(name: str) -> None:
    assert name in lines_of((name, "", ""))[-1]


def test_what_could_move_the_cursor_is_replaced() -> None:
    assert "\x1b" not in lines_of(("a\x1b[2Jb", "", ""))[-1]


def test_a_table_without_rows_is_its_header_with_one_line_end() -> None:
    text = drawn(new_table("Name", "Number"))
    assert text.split("\n")[0].split() == ["Name", "Number"]
    assert len(text.rstrip("\n").split("\n")) == 2
    assert text.endswith("\n")
    assert not text.endswith("\n\n")
