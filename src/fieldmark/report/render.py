"""Writes the report: one HTML file that needs nothing else.

In: a run folder. Out: `report.html` in it, without scripts and without any outside request.
Not covered: what it says (`content`, `scores`, `wording`) and its figures (`figures`).
"""

import math
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from fieldmark.base.executor import ThreadExecutor
from fieldmark.base.files import write_text
from fieldmark.base.run_folder import RunFolder
from fieldmark.report import figures, wording
from fieldmark.report.content import read_content
from fieldmark.report.entries import Epoch, MixUp, Photo, ReportContent, Setting
from fieldmark.report.matrix import NUM_SHADES, confusion_rows
from fieldmark.report.thumbnails import Thumbnails, read_thumbnails

SECTIONS = (
    ("result", "Result"),
    ("photos", "Photos"),
    ("recipe", "Recipe"),
    ("network", "Network"),
    ("curves", "Learning"),
    ("scores", "Scores"),
    ("confusion", "Mix-ups"),
    ("mistakes", "Worst mistakes"),
    ("provenance", "Provenance"),
)
"""Id and title; each id has a template of its name."""

MAX_NOTES = 500
MAX_COUNT_BARS = 60
MAX_CLASS_ROWS, FIRST_CLASS_ROWS = 20, 12
"""Longer tables show the first rows and fold the whole."""


def write_report(run: Path) -> Path:
    """Build the report of a finished run from its folder alone and write it there.

    The photos are read for thumbnails if they are still where run.json says; otherwise the page
    says that they have moved.

    Returns:
        The path of `report.html`.

    Raises:
        RunError: The folder holds no finished run, or a file in it is malformed or too new.
        EvaluationError: The predictions are malformed.
    """
    content = read_content(run)
    root = Path(content.run.photos) if content.run.photos else None
    thumbnails = read_thumbnails(
        root,
        photos_shown(content),
        executor=ThreadExecutor(),
        turn_upright=content.turn_upright,
    )
    page = RunFolder(run).report_html
    write_text(page, render(content, thumbnails=thumbnails))
    return page


def photos_shown(content: ReportContent) -> Iterator[Photo]:
    """Yield the photos that the page shows, the most important first: mistakes, then samples."""
    yield from (mistake.photo for mistake in content.mistakes)
    for samples in content.photos.samples.values():
        yield from samples


def render(content: ReportContent, *, thumbnails: Thumbnails) -> str:
    """Return the whole page; the same content and thumbnails give the same text."""
    template = _environment().get_template("report.html.j2")
    return template.render(
        content=content,
        thumbnails=thumbnails,
        sections=SECTIONS,
        max_notes=MAX_NOTES,
        num_shades=NUM_SHADES,
        max_class_rows=MAX_CLASS_ROWS,
        first_class_rows=FIRST_CLASS_ROWS,
        **_result(content),
        **_photos(content),
        **_network(content),
        **_curves(content),
        **_provenance(content),
    )


def scale_floor(lows: Sequence[float]) -> float:
    """Return where a scale of shares that ends at 1 should begin, so that all intervals fit.

    Steps of 5 % from 90 %, of 10 % below, 0 at the least.
    """
    low = min(lows, default=0.0)
    step = 0.05 if low >= 0.9 else 0.1
    return min(0.95, max(0.0, round(math.floor(low / step + 1e-9) * step, 2)))


def scale_ceiling(value: float) -> float:
    """Return a round number at or above a positive value: 1, 2 or 5 times a power of ten."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 5, 10) if value <= step * power * (1 + 1e-9))


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("fieldmark.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        percent=lambda share, decimals=1: wording.percent(share, decimals=decimals),
        interval=wording.interval,
        count=lambda number, noun, plural=None: wording.count(number, noun, plural=plural),
        duration=wording.duration,
        setting=wording.setting,
        ceiling=scale_ceiling,
        loss=wording.loss,
        mix_up=_mix_up,
        by_section=_by_section,
        times=lambda shape: shape.replace("x", "×"),
    )
    environment.globals["whisker"] = figures.whisker
    return environment


def _mix_up(pair: MixUp) -> str:
    return wording.mix_up(
        true=pair.true, predicted=pair.predicted, times=pair.times, support=pair.support
    )


def _by_section(settings: Sequence[Setting]) -> list[tuple[str, list[Setting]]]:
    return [(name, list(group)) for name, group in groupby(settings, key=lambda s: s.section)]


def _result(content: ReportContent) -> dict[str, Any]:
    shares = [score.estimate.low for score in content.scores if score.is_share]
    return {
        "expectation": wording.expectation(content.accuracy),
        "device": wording.device(content.run.device),
        "finished": wording.moment(content.run.ended or content.run.started),
        "accuracy_floor": scale_floor([content.accuracy.low]),
        "score_floor": scale_floor(shares),
        "class_floor": scale_floor([row.f1.low for row in content.class_scores]),
        "matrix": confusion_rows(content.confusion, classes=content.classes),
    }


def _photos(content: ReportContent) -> dict[str, Any]:
    counts = content.photos.counts
    shown = counts
    if len(counts) > MAX_COUNT_BARS:
        shown = tuple(sorted(counts, key=lambda count: count.total)[:MAX_COUNT_BARS])
    return {
        "counts_svg": figures.class_counts(shown),
        "counts_shown": len(shown),
        "split_totals": {
            "train": sum(count.train for count in counts),
            "validation": sum(count.validation for count in counts),
            "test": sum(count.test for count in counts),
        },
        "samples_per_class": max(map(len, content.photos.samples.values()), default=1),
    }


def _network(content: ReportContent) -> dict[str, Any]:
    return {
        "total_parameters": sum(block.parameters for block in content.blocks),
        "trainable_parameters": sum(block.trainable_parameters for block in content.blocks),
        "largest_block": max([1, *(block.parameters for block in content.blocks)]),
    }


def _curves(content: ReportContent) -> dict[str, Any]:
    several = len(content.strengths) > 1  # one strength was given, not chosen: no curve to show
    return {
        "strength_charts": figures.strength_charts(content.strengths) if several else (),
        "epoch_charts": figures.epoch_charts(content.epochs) if content.epochs else (),
        "epoch_facts": _epoch_facts(content.epochs),
    }


def _epoch_facts(epochs: Sequence[Epoch]) -> list[tuple[str, str]]:
    facts = [("Epochs", f"{len(epochs):,}")]
    if measured := [epoch for epoch in epochs if not math.isnan(epoch.val_accuracy)]:
        best = max(measured, key=lambda epoch: epoch.val_accuracy)
        text = f"{wording.percent(best.val_accuracy)}, after epoch {best.epoch}"
        facts.append(("Best accuracy on validation photos", text))
    if measured := [epoch for epoch in epochs if not math.isnan(epoch.val_loss)]:
        best = min(measured, key=lambda epoch: epoch.val_loss)
        facts.append(("Lowest loss on them", f"{best.val_loss:.4f}, after epoch {best.epoch}"))
    return facts


def _provenance(content: ReportContent) -> dict[str, Any]:
    run = content.run
    peak = run.peak_memory_mib
    rows = {
        "Command": run.command,
        "Photos": run.photos,
        "Data digest (SHA-256)": run.data_digest,
        "Seeds": wording.setting(run.seeds) if run.seeds else "",
        "Started": wording.moment(run.started),
        "Ended": wording.moment(run.ended),
        "Device": wording.device(run.device),
        "Peak memory": f"{peak:,.0f} MiB" if peak else "",
        "Fieldmark": run.fieldmark_version,
    }
    return {
        "provenance": [(name, value) for name, value in rows.items() if value],
        "longest_stage": max([1e-9, *(seconds for _, seconds in run.stages)]),
    }
