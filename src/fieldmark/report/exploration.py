"""Writes the page of an exploration: what a folder of photos is like, before anything is trained.

In: the catalog, the cues, the audit and the splits, if any. Out: `explore.html`, one HTML file
that needs nothing else, runs no scripts and asks for nothing.
Not covered: finding anything (`fieldmark.audit`), and the report of a run (`render`).
"""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from fieldmark._version import __version__
from fieldmark.audit.findings import Audit
from fieldmark.base.executor import ThreadExecutor
from fieldmark.base.files import write_text
from fieldmark.data.catalog import Catalog
from fieldmark.data.cues import Cues
from fieldmark.data.splits import Splits
from fieldmark.report.entries import ClassCount, Photo
from fieldmark.report.environment import render_page
from fieldmark.report.findings import FindingsContent, findings_content, verdict_of
from fieldmark.report.photos import class_counts, samples_of
from fieldmark.report.shapes import (
    ClassShape,
    Scale,
    SizeCount,
    Tally,
    aspect_scale,
    class_shapes,
    common_sizes,
    pixel_scale,
    tallies,
)
from fieldmark.report.shortcuts import ShortcutContent, shortcut_content
from fieldmark.report.thumbnails import Thumbnails, read_thumbnails

PAGE_NAME = "explore.html"

SECTIONS = (
    ("overview", "Overview"),
    ("photos", "Photos"),
    ("sizes", "Sizes and formats"),
    ("findings", "Findings"),
    ("shortcuts", "Shortcuts"),
    ("labels", "Doubtful labels"),
    ("checks", "Checks"),
)
"""Id and title; each id has a template of its name."""
SHORT_TITLES = {"sizes": "Sizes", "labels": "Labels"}
"""As they stand in the bar of links, where room is scarce."""
ELSEWHERE = {"FM501": "labels", "FM601": "shortcuts"}
"""Findings that have a section of their own, by code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplorationContent:
    """Everything that the page shows."""

    title: str
    root: str
    command: str
    digest: str
    notes: tuple[str, ...]
    """What was made of the folder, where it is not the plain one folder a class."""
    num_met: int
    num_photos: int
    counts: tuple[ClassCount, ...]
    """The largest class first."""
    is_split: bool
    """Whether the counts tell the splits apart."""
    is_trainable: bool
    """Whether training could divide the photos."""
    samples: Mapping[str, tuple[Photo, ...]]
    shapes: tuple[ClassShape, ...]
    pixel_scale: Scale
    aspect_scale: Scale
    num_sizes: int
    sizes: tuple[SizeCount, ...]
    tallies: tuple[Tally, ...]
    findings: FindingsContent
    shortcuts: ShortcutContent | None
    labels_csv: str | None
    """The file in which labels can be corrected, if it was written."""

    def photos_shown(self) -> Iterator[Photo]:
        """Yield the photos that the page shows, the most important first."""
        yield from self.findings.photos()
        yield from (entry.photo for entry in self.findings.suspects)
        for samples in self.samples.values():
            yield from samples


def write_exploration(
    folder: Path,
    *,
    catalog: Catalog,
    cues: Mapping[str, Cues],
    audit: Audit,
    splits: Splits | None,
    turn_upright: bool = True,
    command: str = "",
    labels_csv: str | None = None,
) -> Path:
    """Write `explore.html` into a folder.

    Args:
        folder: where to write; it is made if it is missing.
        catalog: every file met.
        cues: what was measured of the usable photos, by path.
        audit: what was found.
        splits: how the photos are, or would be, divided; None where that is not known.
        turn_upright: show photos turned as their metadata say.
        command: the command that was given, for the page to tell.
        labels_csv: the file of `folder` in which labels can be corrected; None where none was
            written.

    Returns:
        The path of the page.

    Raises:
        OSError: the folder cannot be written to.
    """
    content = exploration_content(
        catalog,
        cues=cues,
        audit=audit,
        splits=splits,
        command=command,
        labels_csv=str(folder / labels_csv) if labels_csv else None,
    )
    thumbnails = read_thumbnails(
        catalog.root,
        content.photos_shown(),
        executor=ThreadExecutor(),
        turn_upright=turn_upright,
    )
    page = folder / PAGE_NAME
    write_text(page, render(content, thumbnails=thumbnails))
    return page


def exploration_content(
    catalog: Catalog,
    *,
    cues: Mapping[str, Cues],
    audit: Audit,
    splits: Splits | None,
    command: str = "",
    labels_csv: str | None = None,
) -> ExplorationContent:
    """Gather what the page shows.

    The arguments are those of `write_exploration`, but `labels_csv` is the whole path of the file.
    """
    sides = sides_of(catalog, splits)
    shapes = class_shapes(catalog)
    num_sizes, sizes = common_sizes(catalog)
    counts = class_counts((row.label, sides.get(row.path, "")) for row in catalog.usable)
    return ExplorationContent(
        title=catalog.root.resolve().name,
        root=str(catalog.root),
        command=command,
        digest=audit.data_digest,
        notes=catalog.notes,
        num_met=len(catalog.rows),
        num_photos=len(catalog.usable),
        counts=tuple(sorted(counts, key=lambda count: (-count.total, count.name))),
        is_split=bool(sides),
        is_trainable=splits is not None,
        samples=samples_of(catalog),
        shapes=shapes,
        pixel_scale=pixel_scale(shapes),
        aspect_scale=aspect_scale(shapes),
        num_sizes=num_sizes,
        sizes=sizes,
        tallies=tallies(catalog, cues),
        findings=findings_content(audit, rows=catalog.rows, sides=sides, elsewhere=ELSEWHERE),
        shortcuts=shortcut_content(audit.shortcuts, classifier=audit.classifier),
        labels_csv=labels_csv,
    )


def sides_of(catalog: Catalog, splits: Splits | None) -> dict[str, str]:
    """Return the side of each photo: as a split says, otherwise as the folder's layout does."""
    sides = {row.path: row.layout_split for row in catalog.usable if row.layout_split}
    if splits is not None:
        sides |= {row.path: row.split for row in splits.rows}
    return sides


def render(content: ExplorationContent, *, thumbnails: Thumbnails) -> str:
    """Return the whole page; the same content and thumbnails give the same text."""
    return render_page(
        "explore.html.j2",
        content=content,
        thumbnails=thumbnails,
        sections=SECTIONS,
        short_titles=SHORT_TITLES,
        section_folder="explore/",
        version=__version__,
        verdict=verdict_of(content.findings, is_trainable=content.is_trainable),
        train_command=shlex.join(
            ["fieldmark", "train", content.root, "--labels", content.labels_csv or ""]
        ),
        most_photos=max([1, *(count.total for count in content.counts)]),
    )
