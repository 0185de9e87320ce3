"""The studies that lie beside a run, and what they found: what its settings do.

In: the run folder. Out: `StudyLink`s; nothing where there is no study of the same photos.
Not covered: the page of a study itself (`study`).
"""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fieldmark.base.errors import RunError
from fieldmark.studies.names import title_of
from fieldmark.studies.record import StudyFolder, StudyRecord, read_record

MAX_STUDIES = 5
"""The latest; a folder of runs may hold many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyLink:
    """One study: where its page is, and what it came to."""

    name: str
    href: str
    """Of the page, relative to the folder of the run."""
    is_origin: bool
    """Whether the run is of the recipe that did best in it."""
    fields: tuple[str, ...]
    """What was varied."""
    headline: str
    sentences: tuple[str, ...]
    """What each field did to the accuracy on validation photos; empty for searches."""


def studies_beside(run: Path, *, data_digest: str) -> tuple[StudyLink, ...]:
    """Return the studies that the run's report can point to, the one it comes from first.

    Those are the study in whose folder the run lies, and those beside the run which are of the
    same photos. What cannot be read is passed over: a report does not fail for want of a study.

    Args:
        run: the run folder.
        data_digest: of the run's photos.
    """
    parent = run.resolve().parent
    found = []
    for folder in _folders(parent):
        with suppress(RunError, OSError, ValueError):
            record = read_record(folder)
            is_origin = folder.path == parent
            if is_origin or (data_digest and record.data_digest == data_digest):
                link = _link(folder, record, is_origin=is_origin)
                found.append((not is_origin, record.started, link))
    found.sort(key=lambda each: each[1], reverse=True)
    found.sort(key=lambda each: each[0])
    return tuple(link for _, _, link in found[:MAX_STUDIES])


def _folders(parent: Path) -> Iterator[StudyFolder]:
    places = [parent, *(file.parent for file in parent.glob("*/study.json"))]
    for place in places:
        folder = StudyFolder(place)
        if folder.study_json.is_file() and folder.study_html.is_file():
            yield folder


def _link(folder: StudyFolder, record: StudyRecord, *, is_origin: bool) -> StudyLink:
    effects: dict[str, Any] = {}
    if folder.effects_json.is_file():
        effects = json.loads(folder.effects_json.read_text("utf-8"))
    of_accuracy = effects.get("effects", {}).get("val_accuracy", {})
    above = ".." if is_origin else f"../{quote(folder.path.name)}"
    return StudyLink(
        name=folder.path.name,
        href=f"{above}/{folder.study_html.name}",
        is_origin=is_origin,
        fields=tuple(
            [title_of(factor.key) for factor in record.factors]
            + [title_of(span.key) for span in record.ranges]
        ),
        headline=str(effects.get("headline", "")),
        sentences=tuple(map(str, of_accuracy.get("sentences", ()))),
    )
