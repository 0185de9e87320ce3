"""What an audit found as text for the terminal.

In: an `Exploration`, or the `Audit` of a run. Out: text.
"""

import shlex
from typing import TYPE_CHECKING

from fieldmark.base.tables import add_row, drawn, new_table

if TYPE_CHECKING:
    from fieldmark.audit.findings import Audit, Finding
    from fieldmark.exploring import Exploration

FOUND_SHOWN = 6
"""Serious findings that a run repeats at its end: as many as are read."""
SEVERITIES = {"error": "ERROR", "warning": "warning", "info": "info"}


def exploration(result: "Exploration") -> str:
    """Return what `fieldmark explore` ends with: the classes, the findings, where things are."""
    parts = [_heading(result), _classes(result), _findings(result.audit), _places(result)]
    return "\n".join(part for part in parts if part)


def found(audit: "Audit | None") -> list[str]:
    """Return the serious findings of a run as lines, the worst first."""
    if audit is None:
        return []
    shown = audit.serious[:FOUND_SHOWN]
    lines = [f"{'Found':<12}{_told(finding)}" for finding in shown]
    if more := len(audit.serious) - len(shown):
        lines.append(f"{'':<12}and {more:,} more in the report")
    return lines


def _told(finding: "Finding") -> str:
    mark = "ERROR " if finding.severity == "error" else ""
    return f"{mark}{finding.code} {finding.headline or finding.summary}"


def _heading(result: "Exploration") -> str:
    catalog, groups = result.catalog, result.audit.groups
    lost = sum(row.is_lost_photo for row in catalog.rows)
    num_photos, num_classes = len(catalog.usable), len(catalog.classes)
    text = f"{num_photos:,} photo{'s' * (num_photos != 1)} of "
    text += f"{num_classes:,} class{'es' * (num_classes != 1)}"
    if lost:
        text += f", {lost:,} left out"
    if groups.num_grouped:
        text += (
            f"; {groups.num_grouped:,} of them belong together with others, which leaves "
            f"{groups.num_groups:,} groups"
        )
    return f"{text}\n"


def _classes(result: "Exploration") -> str:
    if not result.catalog.classes:
        return ""
    splits = result.splits
    sides = ("train", "validation", "test") if splits else ()
    table = new_table("Class", "Photos", *(side.capitalize() for side in sides))
    counts = splits.class_counts() if splits else {}
    for name, number in result.catalog.counts().items():
        of_sides = (f"{counts.get(name, {}).get(side, 0):,}" for side in sides)
        add_row(table, name, f"{number:,}", *of_sides)
    return drawn(table)


def _findings(audit: "Audit") -> str:
    if not audit.findings:
        return "Nothing found.\n" + _unchecked(audit)
    table = new_table("", "Code", "Finding", right=())
    for finding in audit.findings:
        add_row(table, SEVERITIES[finding.severity], finding.code, finding.summary)
    return drawn(table) + _unchecked(audit)


def _unchecked(audit: "Audit") -> str:
    lines = []
    if audit.muted:
        lines.append(f"Muted: {', '.join(audit.muted)}\n")
    for reason in dict.fromkeys(audit.skipped.values()):
        codes = [code for code, why in audit.skipped.items() if why == reason]
        lines.append(f"Not checked: {', '.join(codes)} ({reason.rstrip('.')})\n")
    return "".join(lines)


def _places(result: "Exploration") -> str:
    lines = [f"Page        {result.page}"]
    if result.num_doubts:
        labels = shlex.quote(str(result.labels))
        lines.append(
            f"Labels      {result.labels} lists {result.num_doubts:,} to look at; edit it, then "
            f"train with --labels {labels}"
        )
    return "\n".join(lines) + "\n"
