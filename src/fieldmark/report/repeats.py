"""Writes the page on several trainings of one recipe: how far they lie apart, what they come to.

In: what they came to. Out: one HTML file that needs nothing else, runs no scripts and asks for
nothing; it links to the report of each run beside it.
Not covered: what it says (`repeats_content`, `repeats_wording`), and training them.
"""

from collections.abc import Mapping
from pathlib import Path

from fieldmark.base.executor import ThreadExecutor
from fieldmark.base.files import write_text
from fieldmark.evaluation.intervals import Estimate
from fieldmark.evaluation.repeated import FOLDS, Repeated, Spread
from fieldmark.report.environment import render_page
from fieldmark.report.repeats_content import RepeatsContent, RepeatsFacts, repeats_content
from fieldmark.report.repeats_wording import ends_told, scale_told, spread_told, told
from fieldmark.report.thumbnails import Thumbnails, read_thumbnails

SECTIONS = (
    ("overview", "Overview"),
    ("each", "Each of them"),
    ("classes", "Classes"),
    ("photos", "Photos named wrong"),
    ("meaning", "What the numbers mean"),
    ("method", "How it was made"),
)
"""Id and title; each id has a template of its name."""
SHORT_TITLES = {"photos": "Photos", "meaning": "Meaning", "method": "Method"}
"""As they stand in the bar of links, where room is scarce."""


def write_repeats_page(
    page: Path,
    result: Repeated,
    *,
    facts: RepeatsFacts,
    digests: Mapping[str, str],
    photos: Path | None,
    turn_upright: bool = True,
) -> Path:
    """Write the page.

    Args:
        page: the file.
        result: what to tell.
        facts: how the runs were made.
        digests: the SHA-256 of each photo by its path.
        photos: the folder of photos; None where it is gone.
        turn_upright: show photos turned as their metadata say.

    Raises:
        OSError: it cannot be written.
    """
    content = repeats_content(result, facts=facts, digests=digests)
    thumbnails = read_thumbnails(
        photos, content.photos_shown(), executor=ThreadExecutor(), turn_upright=turn_upright
    )
    write_text(page, render(content, thumbnails=thumbnails))
    return page


def render(content: RepeatsContent, *, thumbnails: Thumbnails) -> str:
    """Return the whole page; the same content and thumbnails give the same text."""
    return render_page(
        "repeats.html.j2",
        content=content,
        thumbnails=thumbnails,
        sections=SECTIONS,
        short_titles=SHORT_TITLES,
        section_folder="repeats/",
        version=content.facts.fieldmark_version,
        told=told,
        scale_told=scale_told,
        spread_told=spread_told,
        ends_told=ends_told,
        ends=_ends,
        noun="fold" if content.result.kind == FOLDS else "seed",
    )


def _ends(spread: Spread) -> Estimate:
    """Return a spread as it is drawn: a dot at the mean, a line from the lowest to the highest."""
    return Estimate(value=spread.mean, low=spread.low, high=spread.high)
