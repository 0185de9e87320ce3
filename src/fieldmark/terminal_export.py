"""Exported files and verified bundles as text for the terminal.

In: an `Export` or a `Verified`. Out: text.
"""

import shlex
from typing import TYPE_CHECKING

from fieldmark.base.counting import counted

if TYPE_CHECKING:
    from fieldmark.evaluation.parity import Parity, ToRun
    from fieldmark.exporting import Export
    from fieldmark.verifying import Verified


def export(result: "Export") -> str:
    """Return what `fieldmark export` ends with: what was checked, what came of it, where it is."""
    lines = [f"Written     {result.path}, {result.num_bytes / 1e6:,.1f} MB"]
    if result.parity is not None:
        lines += _checked(result.parity)
    if result.record is not None:
        lines.append(f"Record      {result.record}")
    if result.thumbnails:
        lines.append(f"Photos      {result.thumbnails}")
    path = shlex.quote(str(result.path))
    if result.kind == "web":
        lines.append(f"Try it      python -m http.server --bind 127.0.0.1 --directory {path}")
        lines.append("            and open http://127.0.0.1:8000")
    else:
        lines.append(f"Try it      fieldmark predict {path} PHOTO")
    return "\n".join(lines) + "\n"


def verified(result: "Verified") -> str:
    """Return what `fieldmark verify` ends with."""
    whole = f"{counted(len(result.files), 'file')}, each as the manifest says"
    lines = [f"Whole       {result.path}: {whole}"]
    if result.num_golden:
        photos = counted(result.num_golden, "golden photo")
        lines.append(f"The same    {photos}, logits within {result.drift:.1g} of their range")
    else:
        lines.append("Not known   it holds no golden photos: it is of an older Fieldmark")
    if result.num_photos:
        photos = counted(result.num_photos, "training photo")
        lines.append(f"Photos      thumbnails of {photos} travel with it")
    if result.key is not None:
        lines.append(f"Signed      with the key that belongs to {result.key}")
    elif result.is_signed:
        lines.append("Signed      by somebody; check by whom with --key PUBLIC_KEY.pem")
    else:
        lines.append("Signed      by nobody")
    return "\n".join(lines) + "\n"


def _checked(parity: "Parity") -> list[str]:
    lines = [
        f"Same name   {parity.num_agreeing:,} of {parity.num_photos:,} {parity.photos}",
        f"Probability off by at most {parity.max_difference:.1g} ({parity.worst_photo})",
    ]
    if parity.accuracy_lost is not None and parity.accuracy is not None:
        lost = parity.accuracy_lost
        value, low, high = (100 * part + 0.0 for part in (lost.value, lost.low, lost.high))
        lines.append(
            f"Accuracy    {100 * parity.accuracy - value:.2f} %, {value:.2f} points lost "
            f"(95 % interval {low:.2f} to {high:.2f})"
        )
    if parity.num_unfamiliar is not None:
        lines.append(
            f"Unfamiliar  {parity.num_unfamiliar_exported:,} of {parity.num_photos:,}, "
            f"and {parity.num_unfamiliar:,} by the run"
        )
    if parity.to_run is not None:
        lines.append(_to_run(parity.to_run))
    return lines


def _to_run(said: "ToRun") -> str:
    """Return how far the file is from what `fieldmark predict RUN` says."""
    from fieldmark.evaluation.parity import APART

    text = (
        f"The run     predicts in {said.precision}: {said.num_agreeing:,} of {said.num_photos:,} "
        f"named the same, off by at most {said.max_difference:.1g} ({said.worst_photo})"
    )
    return text if not said.num_apart else f"{text}, {said.num_apart:,} by more than {APART:g}"
