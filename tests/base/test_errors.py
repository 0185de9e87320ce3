import re

import pytest

from fieldmark.base import errors
from fieldmark.base.errors import FieldmarkError, nearest_spelling


def test_the_docstring_lists_exactly_the_exceptions_there_are() -> None:
    defined = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, FieldmarkError)
    }
    assert set(re.findall(r"\w+Error", errors.__doc__ or "")) == defined
    assert len(defined) > 1


@pytest.mark.parametrize("kind", FieldmarkError.__subclasses__())
def test_an_exception_shows_the_message_it_was_raised_with(kind: type[FieldmarkError]) -> None:
    with pytest.raises(FieldmarkError, match=r"^the folder is empty$"):
        raise kind("the folder is empty")


def test_a_misspelt_word_is_answered_with_the_nearest_allowed_one() -> None:
    allowed = ["size_px", "resize", "prescale_px"]
    assert nearest_spelling("sise_px", allowed) == " Did you mean 'size_px'?"


def test_a_word_like_none_of_the_allowed_is_answered_with_nothing() -> None:
    assert nearest_spelling("colour", ["size_px", "resize"]) == ""
    assert nearest_spelling("colour", iter(())) == ""
