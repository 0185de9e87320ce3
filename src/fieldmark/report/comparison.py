"""Writes the page of a comparison: how runs differ on the same test photos, and on which of them.

In: what was compared. Out: `compare.html`, one HTML file that needs nothing else, runs no scripts
and asks for nothing.
Not covered: what it says (`comparison_content`), and reading the runs (`fieldmark.comparing`).
"""

from collections.abc import Sequence
from pathlib import Path

from fieldmark._version import __version__
from fieldmark.base.executor import ThreadExecutor
from fieldmark.base.files import write_text
from fieldmark.evaluation.intervals import NUM_RESAMPLES, Estimate
from fieldmark.evaluation.significance import SIGNIFICANCE
from fieldmark.report.comparison_content import (
    Compared,
    ComparisonContent,
    comparison_content,
)
from fieldmark.report.comparison_wording import loss_text
from fieldmark.report.environment import render_page
from fieldmark.report.scales import scale_ceiling, scale_floor
from fieldmark.report.thumbnails import Thumbnails, read_thumbnails

PAGE_NAME = "compare.html"
SHARES = (0.6, 0.8, 1.0)
"""Of a scale that ends at 1, 2 or 5 times a power of ten: how much of it may do."""

SECTIONS = (
    ("overview", "Overview"),
    ("differences", "Differences"),
    ("classes", "Classes"),
    ("disagreements", "Where they disagree"),
    ("settings", "Settings that differ"),
    ("method", "How it was compared"),
)
"""Id and title; each id has a template of its name."""
SHORT_TITLES = {"disagreements": "Photos", "settings": "Settings", "method": "Method"}
"""As they stand in the bar of links, where room is scarce."""


def write_comparison(
    folder: Path,
    compared: Compared,
    *,
    photos: Path | None,
    turn_upright: bool = True,
    command: str = "",
) -> Path:
    """Write `compare.html` into a folder.

    Args:
        folder: where to write; it is made if it is missing.
        compared: what to tell.
        photos: the folder of photos; None where it is not known.
        turn_upright: show photos turned as their metadata say.
        command: the command that was given, for the page to tell.

    Returns:
        The path of the page.

    Raises:
        OSError: the folder cannot be written to.
    """
    content = comparison_content(compared, command=command)
    thumbnails = read_thumbnails(
        photos, content.photos_shown(), executor=ThreadExecutor(), turn_upright=turn_upright
    )
    page = folder / PAGE_NAME
    write_text(page, render(content, thumbnails=thumbnails))
    return page


def render(content: ComparisonContent, *, thumbnails: Thumbnails) -> str:
    """Return the whole page; the same content and thumbnails give the same text."""
    runs = content.compared.runs
    return render_page(
        "compare.html.j2",
        content=content,
        thumbnails=thumbnails,
        sections=SECTIONS,
        short_titles=SHORT_TITLES,
        section_folder="compare/",
        version=__version__,
        loss_text=loss_text,
        significance=SIGNIFICANCE,
        num_resamples=NUM_RESAMPLES,
        accuracy_floor=scale_floor([run.accuracy.low for run in runs]),
        reaches={
            "points": _reach([row.estimate for row in (*content.accuracy, *content.f1)]),
            "loss": _reach([row.estimate for row in content.loss]),
        },
    )


def _reach(estimates: Sequence[Estimate]) -> float:
    """Return how far a scale goes either way of zero, so that all intervals fit."""
    furthest = max(max(-estimate.low, estimate.high) for estimate in estimates)
    coarse = scale_ceiling(furthest)
    return next(share * coarse for share in SHARES if furthest <= share * coarse)
