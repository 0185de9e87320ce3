"""Writes the report: one HTML file that needs nothing else.

In: a run folder. Out: `report.html` in it, without scripts and without any outside request.
Not covered: what it says (`content`, `scores`, `wording`) and its figures (`figures`).
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from fieldmark.base.executor import ThreadExecutor
from fieldmark.base.files import write_text
from fieldmark.base.run_folder import RunFolder
from fieldmark.report import course, curves, figures, wording
from fieldmark.report.attention import NO_PICTURES, AttentionPictures, draw_attention
from fieldmark.report.card import card_of
from fieldmark.report.cells import in_turn
from fieldmark.report.content import ReportContent, read_content
from fieldmark.report.damaged_photo import DamagedPhoto, damaged_photo
from fieldmark.report.entries import Photo
from fieldmark.report.environment import render_page
from fieldmark.report.epoch_table import epoch_table
from fieldmark.report.explanations import ABOUT
from fieldmark.report.findings import verdict_of
from fieldmark.report.network import known_sum
from fieldmark.report.preprocessing import View, read_views
from fieldmark.report.scales import scale_floor
from fieldmark.report.sections import SHORT_TITLES, sections_of
from fieldmark.report.thumbnails import Thumbnails, read_thumbnails

MAX_COUNT_BARS = 60

MAX_PICTURE_BYTES = 5_000_000
"""The thumbnails of the page together; what else it holds stays well under 3 MB, so that the whole
stays under 8."""


def write_report(
    run: Path, *, content: ReportContent | None = None, photos: Path | None = None
) -> Path:
    """Build the report of a finished run from its folder alone and write it there.

    The photos are read for thumbnails if they are still where run.json says; otherwise the page
    says that they have moved.

    Args:
        run: the run folder.
        content: what was read of it a moment ago; None reads it.
        photos: the folder where the photos are now; None is where run.json says.

    Returns:
        The path of `report.html`.

    Raises:
        RunError: The folder holds no finished run, or a file in it is malformed or too new.
        EvaluationError: The predictions are malformed.
    """
    content = content or read_content(run)
    root = photos or (Path(content.run.photos) if content.run.photos else None)
    thumbnails = read_thumbnails(
        root,
        photos_shown(content),
        executor=ThreadExecutor(),
        turn_upright=content.turn_upright,
        max_total_bytes=MAX_PICTURE_BYTES,
    )
    views = read_views(root, content.preprocessing, executor=ThreadExecutor())
    page = RunFolder(run).report_html
    preprocess = content.preprocessing.preprocess
    damaged = damaged_photo(root, content.degradation, preprocess=preprocess)
    looked_at = draw_attention(
        root, content.attention, executor=ThreadExecutor(), turn_upright=content.turn_upright
    )
    text = render(content, thumbnails=thumbnails, views=views, damaged=damaged, looked_at=looked_at)
    write_text(page, text)
    return page


def photos_shown(content: ReportContent) -> Iterator[Photo]:
    """Yield the photos that the page shows, the most important first.

    Those are the worst mistakes and the evidence of the findings, then the samples, what is typical
    and odd, and last the photos behind the matrix, of which there may be many: mistakes first. A
    photo that stands in several places comes as often.
    """
    yield from (mistake.photo for mistake in content.mistakes)
    if content.findings:
        yield from content.findings.photos()
    for samples in content.photos.samples.values():
        yield from samples
    yield from (answer.photo for answer in content.least_sure)
    if content.unfamiliar:
        yield from (one.answer.photo for one in content.unfamiliar.strangest)
    for section in content.class_sections:
        yield from (answer.photo for answer in (*section.typical, *section.odd))
    for right in (False, True):
        cells = [cell for cell in content.cells if cell.is_right == right]
        yield from (answer.photo for answer in in_turn(cells))


def render(
    content: ReportContent,
    *,
    thumbnails: Thumbnails,
    views: Sequence[View] = (),
    damaged: DamagedPhoto | None = None,
    looked_at: AttentionPictures = NO_PICTURES,
) -> str:
    """Return the whole page; the same content and pictures give the same text."""
    return render_page(
        "report.html.j2",
        content=content,
        thumbnails=thumbnails,
        sections=sections_of(content),
        short_titles=SHORT_TITLES,
        abouts=ABOUT,
        views=views,
        damaged_photo=damaged,
        attention_pictures=looked_at,
        section_folder="",
        version=content.run.fieldmark_version,
        **_result(content),
        **_photos(content),
        **_findings(content),
        **_network(content),
        **_curves(content),
        **_provenance(content, thumbnails),
        card=card_of(content),
    )


def _result(content: ReportContent) -> dict[str, Any]:
    shares = [score.estimate.low for score in content.scores if score.is_share]
    return {
        "expectation": wording.expectation(content.accuracy),
        "device": wording.device(content.run.device),
        "finished": wording.moment(content.run.ended or content.run.started),
        "accuracy_floor": scale_floor([content.accuracy.low]),
        "score_floor": scale_floor(shares),
        "class_floor": scale_floor([row.f1.low for row in content.class_scores]),
        "opened": _opened(content),
    }


def _opened(content: ReportContent) -> str:
    """Return the id of the cell whose photos are seen before one is chosen; empty for none."""
    pair = content.confused.mix_up if content.confused else None
    names = (pair.true, pair.predicted) if pair else ()
    return next((cell.id for cell in content.cells if (cell.true, cell.predicted) == names), "")


def _photos(content: ReportContent) -> dict[str, Any]:
    counts = content.photos.counts
    shown = counts
    if len(counts) > MAX_COUNT_BARS:
        shown = tuple(sorted(counts, key=lambda count: count.total)[:MAX_COUNT_BARS])
    return {
        "counts_svg": figures.class_counts(shown),
        "counts_shown": len(shown),
        "split_totals": _split_totals(content),
    }


def _split_totals(content: ReportContent) -> dict[str, int]:
    counts = content.photos.counts
    return {
        "train": sum(count.train for count in counts),
        "validation": sum(count.validation for count in counts),
        "test": sum(count.test for count in counts),
    }


def _findings(content: ReportContent) -> dict[str, Any]:
    findings, compared = content.findings, content.comparisons
    naive, given, labels = compared.naive_split, compared.given_split, compared.labels
    grouping = [naive.clean, naive.naive] if naive else []
    grouping += [given.all] if given else []
    grouping += [given.without_leaked] if given and given.without_leaked else []
    relabelling = [labels.as_it_was, labels.before, labels.after] if labels else []
    return {
        "verdict": verdict_of(findings) if findings else "",
        "naive_promise": wording.promise(naive=naive.naive, clean=naive.clean) if naive else "",
        "label_verdict": wording.telling(labels.difference) if labels else "",
        "grouping_floor": scale_floor([estimate.low for estimate in grouping]),
        "labels_floor": scale_floor([estimate.low for estimate in relabelling]),
    }


def _network(content: ReportContent) -> dict[str, Any]:
    return {
        "total_parameters": sum(block.parameters for block in content.blocks),
        "trainable_parameters": sum(block.trainable_parameters for block in content.blocks),
        "largest_block": max([1, *(block.parameters for block in content.blocks)]),
        "total_multiply_adds": known_sum(block.multiply_adds for block in content.blocks),
    }


def _curves(content: ReportContent) -> dict[str, Any]:
    learning = content.learning
    several = len(learning.strengths) > 1  # one strength was given, not chosen: no curve to show
    return {
        "strength_charts": curves.strength_charts(learning.strengths) if several else (),
        "range_chart": curves.range_chart(learning.range_test) if learning.range_test else None,
        "resumptions": course.resumptions(len(content.run.resumed)),
        "epoch_table": epoch_table(learning.epochs, kept_epoch=learning.kept_epoch),
        **course.course_values(
            learning.epochs,
            kept_epoch=learning.kept_epoch,
            num_photos=_split_totals(content),
            num_classes=len(content.classes),
            is_frozen=learning.is_frozen,
        ),
    }


def _provenance(content: ReportContent, thumbnails: Thumbnails) -> dict[str, Any]:
    run = content.run
    peak = run.peak_memory_mib
    rows = {
        "Command": run.command,
        "Photos": run.photos,
        "Data digest (SHA-256)": run.data_digest,
        "Seeds": wording.setting(run.seeds) if run.seeds else "",
        "Started": wording.moment(run.started),
        "Resumed": ", ".join(map(wording.moment, run.resumed)),
        "Ended": wording.moment(run.ended),
        "Device": wording.device(run.device),
        "Peak memory": f"{peak:,.0f} MiB" if peak else "",
        "Fieldmark": run.fieldmark_version,
        "Photos on this page": _room(thumbnails),
    }
    return {
        "provenance": [(name, value) for name, value in rows.items() if value],
        "longest_stage": max([1e-9, *(seconds for _, seconds in run.stages)]),
    }


def _room(thumbnails: Thumbnails) -> str:
    """Say how much room the pictures of the page take, and how much they may."""
    if not thumbnails.images:
        return ""
    taken, most = (size / 1e6 for size in (thumbnails.num_bytes, MAX_PICTURE_BYTES))
    return f"{len(thumbnails.images):,} small copies, {taken:.1f} MB; at most {most:.1f} MB"
