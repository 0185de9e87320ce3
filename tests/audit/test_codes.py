from pathlib import Path

import pytest

from fieldmark.audit import (
    checks_appearance,
    checks_classes,
    checks_duplicates,
    checks_files,
    checks_model,
)
from fieldmark.audit.codes import CODES, check_codes
from fieldmark.base.errors import RecipeError

PAGES = Path(__file__).parents[2] / "docs/checks"
THRESHOLDS = {
    "FM104": (
        f"differ by no more than {checks_files.MAX_GREY_SPREAD} of 255",
        f"at least {checks_files.NEARLY_ALL:.0%} of its photos",
        f"at least {checks_files.TELLING_SHARE:.0%} of that class",
        f"less than {checks_files.CHANCE:.0%} of folders",
    ),
    "FM105": (
        f"below {checks_files.MIN_SIDE_PX} pixels",
        f"at least {2 * checks_files.MIN_SIDE_PX} pixels",
        f"more than {checks_files.MAX_AREA_RATIO} times",
    ),
    "FM106": (f"more than {checks_files.MAX_ASPECT:g} times",),
    "FM201": (
        f"{checks_appearance.NEARLY_ALL:g} % lies",
        f"below {checks_appearance.DARK_LEVEL} of 255",
        f"below {checks_appearance.FLAT_CONTRAST:g} of 255",
    ),
    "FM202": (
        f"above {checks_appearance.BRIGHT_LEVEL} of 255",
        f"below {checks_appearance.FLAT_CONTRAST:g} of 255",
    ),
    "FM203": (
        f"below {checks_appearance.MAX_DETAIL:g}",
        f"{checks_appearance.MAX_DEVIATIONS:g} robust standard deviations",
        f"fewer than {checks_appearance.MIN_CLASS} photos",
    ),
    "FM204": (f"less than {checks_appearance.PLAIN_SPREAD:g} of 255",),
    "FM306": (f"At least {checks_duplicates.TWICE_SHARE:.0%}",),
    "FM401": (
        f"ratio of {checks_classes.NOTED_RATIO:g}",
        f"warning from {checks_classes.SERIOUS_RATIO:g}",
    ),
    "FM402": (
        f"Fewer than {checks_classes.MIN_GROUPS}",
        f"Fewer than {checks_classes.MIN_TESTED}",
    ),
    "FM501": (
        f"warning from {checks_model.SERIOUS_SUSPECTS:.0%}",
        f"less than {checks_model.MIN_SKILL:.0%} of the way",
    ),
}


def page(code: str) -> str:
    """Return a page as one line, so that it may be wrapped anywhere."""
    return " ".join((PAGES / f"{code}.md").read_text("utf-8").split())


@pytest.mark.parametrize("code", CODES)
def test_each_code_has_a_page_with_its_title_meaning_and_advice(code: str) -> None:
    text = CODES[code]
    assert page(code).startswith(f"# {code}: {text.title} Severity: ")
    assert f"## Why it matters {text.meaning} ##" in page(code)
    assert f"## What to do {text.advice} ##" in page(code)
    assert f"`--ignore {code}`" in page(code)


@pytest.mark.parametrize("code", THRESHOLDS)
def test_thresholds_on_the_pages_are_those_of_the_code(code: str) -> None:
    for told in THRESHOLDS[code]:
        assert told.replace("%", " %").replace("  ", " ") in page(code)


def test_the_list_of_pages_names_each_code_with_its_severity_and_no_other() -> None:
    rows = [line for line in (PAGES / "index.md").read_text("utf-8").splitlines() if "| [" in line]
    expected = [
        f"| [{code}]({code}.md) | {text.title} | "
        f"{page(code).partition('Severity: ')[2].partition('. ##')[0]} |"
        for code, text in CODES.items()
    ]
    assert rows == expected
    assert {path.stem for path in PAGES.glob("FM*.md")} == set(CODES)


def test_links_between_pages_lead_somewhere() -> None:
    for path in PAGES.glob("*.md"):
        for part in path.read_text("utf-8").split("](")[1:]:
            assert (PAGES / part.partition(")")[0]).is_file()


def test_codes_are_taken_in_any_case_once_and_sorted() -> None:
    assert check_codes(["fm601", " FM101", "Fm601"]) == ("FM101", "FM601")
    assert check_codes([]) == ()


def test_several_codes_may_stand_in_one_with_commas_between() -> None:
    assert check_codes(["FM601,fm402", "FM101, FM402,"]) == ("FM101", "FM402", "FM601")
    with pytest.raises(RecipeError, match="no check 'FM40' to ignore"):
        check_codes(["FM601,FM40"])


def test_unknown_code_is_refused_with_the_nearest_one_and_all_of_them() -> None:
    with pytest.raises(RecipeError) as refused:
        check_codes(["FM101", "FM30"])
    assert "no check 'FM30' to ignore. Did you mean 'FM30" in str(refused.value)
    assert ", ".join(CODES) in str(refused.value)


def test_titles_differ() -> None:
    assert len({text.title for text in CODES.values()}) == len(CODES)
