"""Whether all is as it was when a run began that is to go on.

In: the run of before, and recipe, files, photos and machine of now. Out: nothing where all is the
same; a RunError with the list of differences, or notes where it may go on nevertheless.
Not covered: which run (`earlier`), going on (`starting`), the state of training
(`training.checkpoint`).
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fieldmark._version import __version__
from fieldmark.base.counting import listed
from fieldmark.base.errors import RunError
from fieldmark.base.files import sha256_of
from fieldmark.base.run_folder import RunFolder
from fieldmark.base.run_record import RECORDED_PACKAGES, versions
from fieldmark.collect import Given
from fieldmark.data.catalog import Catalog, read_catalog
from fieldmark.data.group_by import table_of
from fieldmark.data.layout import find_files
from fieldmark.earlier import Earlier, has_checkpoint
from fieldmark.recipe import Recipe, recipe_tables

SHOWN = 10
"""Photos named of each kind of change."""

FILES = {"split_file": "--split-file", "labels": "--labels"}
"""What the user may give beside the photos, as `run.json` and as the command line name it."""

BY_CONTENT = ("model.weights", "split.group_by")
"""Where the recipe may name a file: the same content is the same, wherever the file lies."""

DEVICE = ("type", "name", "threads")
"""What of a device can change the last bits of a sum."""


class ChangedPhotosError(RunError):
    """The photos are not those that the run began with."""


def digests(asked: Recipe, given: Given, *, weights: str | None) -> dict[str, str]:
    """Return the SHA-256 of each file that the user named, for `run.json`.

    Args:
        asked: the recipe.
        given: the files beside it.
        weights: that of the weights, where there are any.
    """
    table = table_of(asked.split.group_by) if asked.split.group_by else None
    files = {**{name: getattr(given, name) for name in FILES}, "group_by": table and table[0]}
    found = {name: sha256_of(path) for name, path in files.items() if path}
    return found | ({"weights": weights} if weights else {})


def require_same(earlier: Earlier, *, asked: Recipe, given: Given) -> Given:
    """Refuse what is not as it was, and return the files to go on with.

    Args:
        earlier: the run.
        asked: the recipe of now.
        given: the files named now; those left out are taken from the run.

    Raises:
        RunError: with a line for each difference.
    """
    given = Given(**{name: _file(earlier, name, getattr(given, name)) for name in FILES})
    now = digests(asked, given, weights=None)
    _require_none(
        earlier,
        [*_recipe_differences(earlier, asked, now), *_file_differences(earlier, given, now)],
    )
    return given


def require_same_weights(earlier: Earlier, *, asked: Recipe, weights: str | None) -> None:
    """Refuse to go on with other pretrained weights.

    Args:
        earlier: the run.
        asked: the recipe of now.
        weights: SHA-256 of the weights' file; None for random ones.

    Raises:
        RunError: their content is not what it was.
    """
    if earlier.sha256.get("weights") != weights:
        names = earlier.asked.model.weights, asked.model.weights
        _require_none(earlier, [_difference("model.weights", *names)])


def check_photos(folder: RunFolder, catalog: Catalog) -> None:
    """Refuse to go on with other photos than the run began with.

    Photos are told apart by path, label and content; where the folder lies does not matter, nor
    do files in it that were never photos.

    Args:
        folder: of the run, whose catalog.csv is still that of before; a run without one had not
            yet read its photos, and any are right.
        catalog: of the photos as they are now, with their labels put right.

    Raises:
        ChangedPhotosError: photos were added, removed or changed, or cannot be compared.
    """
    if not folder.catalog_csv.exists():
        if has_checkpoint(folder):
            raise ChangedPhotosError(
                f"{folder.catalog_csv} is missing, so nobody can tell whether the photos are those "
                "that this run began with. Put it back, or train anew without --resume."
            )
        return
    before, now = _photos(read_catalog(folder.catalog_csv, root=catalog.root)), _photos(catalog)
    changes = {
        "added": sorted(now.keys() - before.keys()),
        "removed": sorted(before.keys() - now.keys()),
        "changed": sorted(path for path in now.keys() & before if now[path] != before[path]),
    }
    _require_unchanged(folder, catalog.root, changes)


def check_files(folder: RunFolder, root: Path) -> None:
    """Refuse other photos than those of a run that has finished, without opening any.

    Files are told apart by path and size alone: there is nothing to train with them.

    Args:
        folder: of the run; one without catalog.csv has nothing to compare with.
        root: the folder of photos now, in full.

    Raises:
        ChangedPhotosError: photos were added or removed, or have another size.
    """
    if not folder.catalog_csv.exists():
        return
    now = {file.path: file for file in find_files(root)[0]}
    rows = {row.path: row for row in read_catalog(folder.catalog_csv, root=root).rows}
    photos = {path: row for path, row in rows.items() if row.width is not None}
    changes = {
        "added": [path for path in now if path not in rows and not now[path].problem],
        "removed": [path for path in photos if path not in now],
        "changed": [
            path
            for path, row in photos.items()
            if path in now and now[path].num_bytes != row.num_bytes
        ],
    }
    _require_unchanged(folder, root, changes)


def _require_unchanged(folder: RunFolder, root: Path, changes: Mapping[str, Sequence[str]]) -> None:
    if any(changes.values()):
        lines = [
            f"\n  {len(paths):,} {kind}: {listed(paths, most=SHOWN)}"
            for kind, paths in changes.items()
            if paths
        ]
        raise ChangedPhotosError(
            f"The photos in {root} are not those that the run in {folder.path} began with:"
            f"{''.join(lines)}\nPut them back as they were, or train anew without --resume."
        )


def notes(earlier: Earlier, *, photos: Path, device: Mapping[str, object]) -> list[str]:
    """Return what is worth knowing of the circumstances that are not as they were.

    Args:
        earlier: the run.
        photos: the folder of photos now, in full.
        device: what computes now, as `run.json` has it.
    """
    told = []
    if (before := earlier.record.get("photos")) != str(photos):
        told.append(f"The photos were in {before} when the run began.")
    if changes := [*_other_versions(earlier.record), *_other_device(earlier.record, device)]:
        told.append(
            f"The run began with {', '.join(changes)}. The last bits of its numbers may differ "
            "from those of a run in one go."
        )
    return told


def _file(earlier: Earlier, name: str, now: Path | None) -> Path | None:
    """Return the file given now, or else the one that the run was given."""
    before = earlier.record.get(name)
    if now is not None or before is None:
        return now
    if not Path(before).is_file():
        raise RunError(
            f"The run in {earlier.path} was given {before}, which is not there any more. Put it "
            f"back, or say with {FILES[name]} where it is now."
        )
    return Path(before)


def _file_differences(earlier: Earlier, given: Given, now: Mapping[str, str]) -> Iterator[str]:
    for name, flag in FILES.items():
        if now.get(name) != earlier.sha256.get(name):
            yield _difference(flag, earlier.record.get(name), getattr(given, name))


def _recipe_differences(
    earlier: Earlier, asked: Recipe, digests_now: Mapping[str, str]
) -> Iterator[str]:
    before, now = _flat(earlier.asked), _flat(asked)
    for key in sorted(before.keys() | now.keys()):
        if key not in BY_CONTENT and before.get(key) != now.get(key):
            yield _difference(key, before.get(key), now.get(key))
    if _groups(earlier.asked, earlier.sha256) != _groups(asked, digests_now):
        yield _difference("split.group_by", earlier.asked.split.group_by, asked.split.group_by)


def _groups(recipe: Recipe, sha256: Mapping[str, str]) -> tuple[str | None, str | None]:
    """Return what decides the groups: a table's content and column, or the expression."""
    spec = recipe.split.group_by
    table = table_of(spec) if spec else None
    return (sha256.get("group_by"), table[1]) if table else (None, spec)


def _flat(recipe: Recipe) -> dict[str, object]:
    """Return the recipe's values by section.key."""
    return {
        f"{section}.{key}": value
        for section, values in recipe_tables(recipe).items()
        for key, value in values.items()
    }


def _difference(name: str, before: object, now: object) -> str:
    words = ["none" if value is None else str(value) for value in (before, now)]
    if words[0] == words[1]:
        return f"{name}: {words[0]} is not what it was"
    return f"{name}: before {words[0]}, now {words[1]}"


def _require_none(earlier: Earlier, differences: Sequence[str]) -> None:
    if differences:
        lines = "".join(f"\n  {line}" for line in differences)
        raise RunError(
            f"The run in {earlier.path} was begun otherwise:{lines}\nLeave out what differs to go "
            "on as it began, or train anew without --resume."
        )


def _photos(catalog: Catalog) -> dict[str, tuple[str, str]]:
    """Return label and content of each file that could be read as a photo, by path.

    Whether it takes part is left aside: the split leaves photos out after they were read.
    """
    return {row.path: (row.label, row.sha256) for row in catalog.rows if row.width is not None}


def _other_versions(record: Mapping[str, Any]) -> Iterator[str]:
    before = {"fieldmark": record.get("fieldmark_version"), **(record.get("versions") or {})}
    now = {"fieldmark": __version__, **versions()}
    for package in ("fieldmark", *RECORDED_PACKAGES):
        if before.get(package) != now.get(package):
            yield f"{package} {before.get(package)} (now {now.get(package)})"


def _other_device(record: Mapping[str, Any], device: Mapping[str, object]) -> Iterator[str]:
    before = record.get("device") or device
    for key in DEVICE:
        if before.get(key) != device.get(key):
            name = f"device {key}" if key != "threads" else key
            yield f"{name} {before.get(key)} (now {device.get(key)})"
