"""The table of explained photos, a row a photo.

In: `ExplainedPhoto`s. Out: `explain.csv`.
"""

from collections.abc import Sequence
from pathlib import Path

from fieldmark.base.files import write_csv
from fieldmark.report.explained import ExplainedPhoto

TABLE_NAME = "explain.csv"
COLUMNS = (
    "path",
    "true",
    "side",
    "predicted",
    "confidence",
    "unfamiliarity",
    "is_unfamiliar",
    "border_share",
    "picture",
    "picture_of_true",
    "nearest",
    "nearest_label",
    "similarity",
)
"""Shares and probabilities are 0 to 1; pictures are named relative to the folder of the table."""


def write_table(path: Path, photos: Sequence[ExplainedPhoto]) -> None:
    """Write the photos as CSV, atomically."""

    def row(photo: ExplainedPhoto) -> list[object]:
        named, nearest = photo.named, photo.neighbours[0] if photo.neighbours else None
        share = named.border_share
        return [
            photo.path,
            photo.true or "",
            photo.side,
            named.name,
            f"{named.probability:.6f}",
            "" if photo.unfamiliarity is None else f"{photo.unfamiliarity:.6f}",
            {True: "true", False: "false", None: ""}[photo.is_unfamiliar],
            "" if share is None else f"{share:.4f}",
            named.file,
            photo.pictures[1].file if len(photo.pictures) > 1 else "",
            nearest.photo.path if nearest else "",
            nearest.label if nearest else "",
            f"{nearest.similarity:.4f}" if nearest else "",
        ]

    write_csv(path, header=COLUMNS, rows=map(row, photos))
