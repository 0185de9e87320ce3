"""Findings: what an audit says of a folder of photos, as plain data, in and out of JSON.

In: what the checks found. Out: `Audit`, and `findings.json`.
Not covered: finding anything (`checks`); what a code means in general (`codes`); how it looks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from fieldmark.audit.shortcuts import ShortcutTest
from fieldmark.base.files import write_json
from fieldmark.base.run_folder import check_schema
from fieldmark.evaluation.document import from_plain, read_document, to_plain
from fieldmark.evaluation.intervals import Estimate

Severity = Literal["error", "warning", "info"]
"""error: numbers are wrong until it is dealt with. warning: likely to cost accuracy or trust.
info: worth knowing."""
SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One photo, or photos that belong together, such as two copies."""

    paths: tuple[str, ...]
    """At least one, relative to the folder of photos."""
    detail: str = ""
    """What was met in these, in a few words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check has found in a folder."""

    code: str
    """Stable: a key of `codes.CODES`."""
    severity: str
    """A `Severity`: error, warning or info."""
    summary: str
    """What was found, with the numbers of this folder."""
    evidence: tuple[Evidence, ...] = ()
    """All of it, the most important first."""
    headline: str = ""
    """Its first sentence, where the summary has several and the first is enough in passing."""

    @property
    def num_photos(self) -> int:
        """How many files it touches."""
        return len({path for item in self.evidence for path in item.paths})


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupFacts:
    """Photos that belong together, and so must stand on one side of a split."""

    num_groups: int
    """Groups in all; a photo that stands alone is one."""
    num_grouped: int
    """Photos in groups of at least two."""
    largest: int
    """Photos in the largest group."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SuspectPhoto:
    """A photo whose label is doubted by a classifier that has not seen it."""

    path: str
    label: str
    """What the folder says."""
    suggested: str
    """What the classifier says."""
    label_probability: float
    """What the classifier gives the folder's label, 0 to 1."""
    suggested_probability: float
    """What it gives its own, 0 to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """All that was found in one folder."""

    num_photos: int
    """Photos that can be used."""
    num_classes: int
    data_digest: str
    """SHA-256 over path, label and content of the usable photos."""
    groups: GroupFacts
    findings: tuple[Finding, ...]
    """Errors first, then warnings, then what is worth knowing; by code within each."""
    muted: tuple[str, ...] = ()
    """Codes whose checks were not run because the user said so."""
    skipped: Mapping[str, str] = field(default_factory=dict)
    """Why a check could not be run, by code."""
    suspects: tuple[SuspectPhoto, ...] = ()
    """Photos that may be labelled wrong, the most suspicious first."""
    classifier: Estimate | None = None
    """Accuracy of a linear classifier on frozen features, each photo judged by one that has not
    seen it; None where there were no features."""
    shortcuts: ShortcutTest | None = None
    """How far cues go that are not the subject; None where that was not measured."""

    @property
    def serious(self) -> tuple[Finding, ...]:
        """The findings that nobody should miss: errors and warnings."""
        return tuple(finding for finding in self.findings if finding.severity != "info")

    def of_code(self, code: str) -> Finding | None:
        """Return the finding with this code, if there is one."""
        return next((finding for finding in self.findings if finding.code == code), None)

    def to_json(self) -> dict[str, Any]:
        """Return the content of `findings.json`."""
        return {"schema_version": SCHEMA_VERSION, **to_plain(self)}

    @classmethod
    def from_json(cls, content: object, *, where: str = "findings.json") -> "Audit":
        """Read what `to_json` gave.

        Raises:
            RunError: the content is of a newer schema, or not what `to_json` writes.
        """
        check_schema(content, what=where, newest=SCHEMA_VERSION)
        audit: Audit = from_plain(cls, content, where=where)
        return audit


def in_order(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Return findings with errors first, then warnings, then the rest, by code within each."""
    severities = get_args(Severity)
    return tuple(sorted(findings, key=lambda one: (severities.index(one.severity), one.code)))


def read_findings(path: Path) -> Audit | None:
    """Read `findings.json`; None where there is no such file.

    Raises:
        RunError: it is not JSON, is malformed or of a newer schema.
    """
    return read_document(path, Audit.from_json)


def write_findings(path: Path, audit: Audit) -> None:
    """Write an audit as `findings.json`, atomically."""
    write_json(path, audit.to_json())
