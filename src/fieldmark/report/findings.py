"""Turns an audit into what a page says of it: the findings, the checks, the doubtful labels.

In: an `Audit`, and which photos there are. Out: `FindingsContent`, plain typed data.
Not covered: the shortcut test (`shortcuts`), thumbnails (`thumbnails`), layout (`templates/`).
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import get_args

from fieldmark.audit.codes import CODES
from fieldmark.audit.findings import Audit, Evidence, Finding, Severity, SuspectPhoto
from fieldmark.data.catalog import CatalogRow
from fieldmark.report import wording
from fieldmark.report.entries import FileNote, Photo

MAX_SINGLES, MAX_GROUPS, MAX_OF_GROUP = 12, 6, 4
"""How much evidence of one finding is shown as pictures: as much as is looked at with care."""
MAX_SUSPECTS = 24

LISTED = frozenset({"FM101", "FM102", "FM103"})
"""Findings about files, not about what they show: a table says more than pictures."""
LISTED_IN_FULL = frozenset({"FM101", "FM102"})
"""Lost photos: each of them is named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownPhoto:
    """One photo of the evidence."""

    photo: Photo
    label: str
    """Its class by the folder; nothing where the file is not in the catalog."""
    side: str
    """Its side of the split, where the photos shown with it are on another; else nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownEvidence:
    """Photos that are shown side by side."""

    photos: tuple[ShownPhoto, ...]
    num_more: int
    """Photos that belong to them and are not shown."""
    detail: str
    is_torn: bool
    """Whether they stand under two labels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingEntry:
    """One finding with what it means and what to do."""

    code: str
    severity: str
    title: str
    summary: str
    meaning: str
    advice: str
    evidence: tuple[ShownEvidence, ...]
    """What is shown as pictures."""
    files: tuple[FileNote, ...]
    """What is shown as a table."""
    num_hidden: int
    """Pieces of evidence that are shown neither way."""
    section: str
    """The section of the page that shows the evidence instead; nothing where none does."""

    @property
    def is_listed_in_full(self) -> bool:
        """Whether its table names every file, however many there are."""
        return self.code in LISTED_IN_FULL

    @property
    def has_groups(self) -> bool:
        """Whether its evidence is photos that belong together."""
        return any(len(piece.photos) + piece.num_more > 1 for piece in self.evidence)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckEntry:
    """What came of one check: `outcome` is a severity, or "nothing", "muted" or "skipped"."""

    code: str
    title: str
    outcome: str
    reason: str
    """Why it was not run, where it was skipped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SuspectEntry:
    """A photo whose label is doubted."""

    photo: Photo
    suspect: SuspectPhoto


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingsContent:
    """What a page says of an audit."""

    entries: tuple[FindingEntry, ...]
    checks: tuple[CheckEntry, ...]
    suspects: tuple[SuspectEntry, ...]
    num_suspects: int
    num_groups: int
    num_grouped: int
    largest_group: int

    @property
    def serious(self) -> tuple[FindingEntry, ...]:
        """The errors and warnings, which nobody should miss."""
        return tuple(entry for entry in self.entries if entry.severity != "info")

    @property
    def severities(self) -> Mapping[str, int]:
        """How many findings are of each severity, the worst first."""
        counted = Counter(entry.severity for entry in self.entries)
        return {severity: counted[severity] for severity in get_args(Severity)}

    @property
    def num_run(self) -> int:
        """How many checks were run."""
        return sum(check.outcome not in {"muted", "skipped"} for check in self.checks)

    @property
    def num_not_run(self) -> int:
        """How many checks were muted, or could not be run."""
        return len(self.checks) - self.num_run

    def photos(self) -> Iterator[Photo]:
        """Yield the photos of the evidence, the most important first.

        Every finding comes with its first evidence before any comes with its second, so that none
        is left without a picture when room runs out.
        """
        for pieces in zip_longest(*(entry.evidence for entry in self.entries)):
            for piece in pieces:
                yield from () if piece is None else (shown.photo for shown in piece.photos)


def findings_content(
    audit: Audit,
    *,
    rows: Iterable[CatalogRow],
    sides: Mapping[str, str],
    elsewhere: Mapping[str, str] | None = None,
) -> FindingsContent:
    """Lay out an audit for a page.

    Args:
        audit: what was found.
        rows: the files met; evidence that is not among them is shown by its path alone.
        sides: the split of each photo by path, where there is one.
        elsewhere: the section of the page that shows the evidence of a finding, by its code.
    """
    elsewhere = elsewhere or {}
    by_path = {row.path: row for row in rows}
    return FindingsContent(
        entries=tuple(
            _entry(one, by_path=by_path, sides=sides, section=elsewhere.get(one.code, ""))
            for one in audit.findings
        ),
        checks=checks_made(audit),
        suspects=tuple(
            SuspectEntry(photo=_photo(suspect.path, by_path), suspect=suspect)
            for suspect in audit.suspects[:MAX_SUSPECTS]
        ),
        num_suspects=len(audit.suspects),
        num_groups=audit.groups.num_groups,
        num_grouped=audit.groups.num_grouped,
        largest_group=audit.groups.largest,
    )


def verdict_of(content: FindingsContent, *, is_trainable: bool = True) -> str:
    """Say in a sentence or two what was found, and how much it matters."""
    return wording.verdict(
        content.severities,
        num_run=content.num_run,
        num_not_run=content.num_not_run,
        is_trainable=is_trainable,
    )


def checks_made(audit: Audit) -> tuple[CheckEntry, ...]:
    """Return what came of every check there is, in the order of the codes."""
    found = {finding.code: finding.severity for finding in audit.findings}
    muted, skipped = set(audit.muted), audit.skipped
    return tuple(
        CheckEntry(
            code=code,
            title=CODES[code].title,
            outcome=found.get(code)
            or ("muted" if code in muted else "skipped" if code in skipped else "nothing"),
            reason=wording.clause(skipped.get(code, "")),
        )
        for code in sorted(CODES)
    )


def _entry(
    finding: Finding,
    *,
    by_path: Mapping[str, CatalogRow],
    sides: Mapping[str, str],
    section: str,
) -> FindingEntry:
    files = () if section else _files(finding, by_path=by_path)
    is_group = any(len(piece.paths) > 1 for piece in finding.evidence)
    shown = finding.evidence[: MAX_GROUPS if is_group else MAX_SINGLES]
    is_shown = not files and not section
    evidence = tuple(_evidence(piece, by_path, sides) for piece in shown) if is_shown else ()
    code = CODES.get(finding.code)
    return FindingEntry(
        code=finding.code,
        severity=finding.severity,
        title=code.title if code else finding.code,
        summary=finding.summary,
        meaning=code.meaning if code else "",
        advice=code.advice if code else "",
        evidence=evidence,
        files=files,
        num_hidden=len(finding.evidence) - len(evidence) if is_shown else 0,
        section=section,
    )


def _files(finding: Finding, *, by_path: Mapping[str, CatalogRow]) -> tuple[FileNote, ...]:
    """Return the evidence as a table, where there is little to see in it."""
    paths = {path for piece in finding.evidence for path in piece.paths}
    has_pictures = any(path in by_path and by_path[path].is_usable for path in paths)
    if has_pictures and finding.code not in LISTED:
        return ()
    return tuple(
        FileNote(path=", ".join(piece.paths), reason=piece.detail) for piece in finding.evidence
    )


def _evidence(
    piece: Evidence, by_path: Mapping[str, CatalogRow], sides: Mapping[str, str]
) -> ShownEvidence:
    labels = {by_path[path].label for path in piece.paths if path in by_path}
    paths = _from_all_labels(piece.paths, by_path)[:MAX_OF_GROUP]
    is_split = len({sides[path] for path in piece.paths if path in sides}) > 1
    return ShownEvidence(
        photos=tuple(
            ShownPhoto(
                photo=_photo(path, by_path),
                label=by_path[path].label if path in by_path else "",
                side=sides.get(path, "") if is_split else "",
            )
            for path in paths
        ),
        num_more=len(piece.paths) - len(paths),
        detail=piece.detail,
        is_torn=len(labels) > 1,
    )


def _from_all_labels(paths: Sequence[str], by_path: Mapping[str, CatalogRow]) -> list[str]:
    """Return the paths with the first of each label in front, so that none is cut off."""
    seen: set[str] = set()
    first: list[str] = []
    rest: list[str] = []
    for path in paths:
        label = by_path[path].label if path in by_path else ""
        (rest if label in seen else first).append(path)
        seen.add(label)
    return first + rest


def _photo(path: str, by_path: Mapping[str, CatalogRow]) -> Photo:
    return Photo(path=path, sha256=by_path[path].sha256 if path in by_path else "")
