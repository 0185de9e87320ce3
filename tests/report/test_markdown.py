"""A model card as Markdown: whole, and safe against the names in it."""

import pytest

from fieldmark.report.card import CardPart, CardTable, ModelCard
from fieldmark.report.markdown import as_markdown, escaped


def test_every_part_has_its_heading_text_list_table_and_code() -> None:
    part = CardPart(
        title="Use",
        paragraphs=("First.", "Second."),
        bullets=("one", "two"),
        tables=(CardTable(header=("Class", "Photos"), rows=(("cat", "3"),)),),
        code="fieldmark predict X",
    )
    assert as_markdown(ModelCard(title="Card", parts=(part,))) == (
        "# Card\n\n## Use\n\nFirst.\n\nSecond.\n\n- one\n- two\n\n"
        "| Class | Photos |\n| --- | --- |\n| cat | 3 |\n\n```\nfieldmark predict X\n```\n"
    )


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("<script>", "\\<script\\>"),
        ("a|b", "a\\|b"),
        ("*bold* _it_ `code`", "\\*bold\\* \\_it\\_ \\`code\\`"),
        ("[x](y)", "\\[x\\](y)"),
        ("two\nlines", "two lines"),
        ("1. first", "1\\. first"),
        ("- dash", "\\- dash"),
        ("99.3 % of 4", "99.3 % of 4"),
        ("# no heading", "\\# no heading"),
    ],
)
def test_names_are_text_never_markup(name: str, text: str) -> None:
    assert escaped(name) == text
