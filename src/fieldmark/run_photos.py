"""The photos of a finished run, read again as they were.

In: a run folder, and the folder of photos. Out: the bytes of each photo of a split, if they are
still those that the run met.
Not covered: photos that have changed, which are refused by name.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fieldmark.base.errors import DataError, RunError
from fieldmark.base.run_folder import RunFolder, read_run_json
from fieldmark.data.catalog import read_catalog
from fieldmark.data.split_table import read_splits


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPhotos:
    """The photos of a run by split, each with its class and the digest of its file."""

    root: Path
    labels: Mapping[str, str]
    sha256s: Mapping[str, str]
    splits: Mapping[str, Sequence[str]]
    groups: Mapping[str, str]
    """The group of each path, where it has one."""

    def read(self, path: str) -> bytes:
        """Return a photo's file.

        Raises:
            DataError: it is missing, or not the file that the run met.
        """
        try:
            content = (self.root / path).read_bytes()
        except OSError as error:
            raise DataError(
                f"{path} of this run cannot be read in {self.root}: {error.strerror or error}. "
                "Name the folder where the run's photos are with --photos."
            ) from error
        if hashlib.sha256(content).hexdigest() != self.sha256s[path]:
            raise DataError(
                f"{path} in {self.root} has changed since the run. Put the photo back, or name "
                "the folder where the run's photos are with --photos."
            )
        return content


def photos_of(run: Path, *, root: Path | None = None) -> RunPhotos:
    """Return the photos of a run.

    Args:
        run: the run folder.
        root: where the photos are now; None is where `run.json` says.

    Raises:
        RunError: a file of the run folder is missing or malformed.
        DataError: there is no such folder of photos.
    """
    folder = RunFolder(run)
    place = root if root is not None else Path(str(read_run_json(folder).get("photos")))
    if not place.is_dir():
        raise DataError(
            f"The run's photos are not in {place}. Name the folder where they are with --photos."
        )
    rows = read_catalog(folder.catalog_csv, root=place).usable
    splits = read_splits(folder.splits_csv)
    labels = {row.path: row.label for row in rows}
    by_split = {name: splits.paths(name) for name in ("train", "test")}
    unknown = [path for paths in by_split.values() for path in paths if path not in labels]
    if unknown:
        raise RunError(
            f"{folder.catalog_csv} does not list {unknown[0]}, which splits.csv has. Restore the "
            "file, or run the training again."
        )
    return RunPhotos(
        root=place,
        labels=labels,
        sha256s={row.path: row.sha256 for row in rows},
        splits=by_split,
        groups=splits.groups(),
    )
