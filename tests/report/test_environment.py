"""What templates do with words."""

from fieldmark.report.environment import breakable, commands


def test_what_stands_in_quotes_is_set_as_something_to_type() -> None:
    text = "Unlike the others' files, run 'fieldmark train --labels <FILE>' or 'x'."
    assert commands(text) == (
        "Unlike the others&#39; files, run <code>fieldmark train --labels &lt;FILE&gt;</code> "
        "or <code>x</code>."
    )


def test_an_unclosed_quote_stays_text() -> None:
    assert commands("a 'b") == "a &#39;b"


def test_a_path_may_be_broken_after_its_slashes_and_is_escaped() -> None:
    assert breakable("a/<b>/c.png") == "a/<wbr>&lt;b&gt;/<wbr>c.png"
