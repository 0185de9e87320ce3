"""Whether runs are judged by the same test photos: the same paths, contents and classes.

In: what each run was tested on. Out: nothing, or a refusal that names what differs.
Not covered: reading the runs (`comparing`), and what they say of the photos.
"""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from fieldmark.base.counting import counted, listed
from fieldmark.base.errors import RunError
from fieldmark.data.groups import United

SHOWN_DIGITS = 12
"""Of a SHA-256 in a message: enough to find the photo in catalog.csv."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """What one run was tested on."""

    run: str
    """Its name."""
    folder: str
    """Its path, as it was given."""
    digests: Mapping[str, str]
    """The SHA-256 of each test photo by its path, 64 hexadecimal digits; nothing where the run
    does not say."""
    labels: Mapping[str, str]
    """The class of each test photo by its path."""
    groups: Mapping[str, str]
    """Its group by its path; nothing for a photo that stands alone."""


def require_same_photos(runs: Sequence[HeldOut]) -> None:
    """Refuse runs that are not judged by the same photos, as the first one is.

    Raises:
        RunError: some photos stand in one run only, have another content or another class; the
            message says how many, and names the first of them with their SHA-256.
    """
    first, *others = runs
    told = [text for other in others for text in _differences(first, other)]
    if not told:
        return
    split = shlex.quote(f"{first.folder}/splits.csv")
    raise RunError(
        f"These runs are not judged by the same test photos, so their numbers cannot be compared: "
        f"{'; '.join(told)}. Train them on one folder with one split, which --split-file {split} "
        "takes over from a run."
    )


def joint_groups(runs: Sequence[HeldOut]) -> dict[str, str]:
    """Return the group of each test photo: what one run says belongs together, does."""
    united = United()
    for place, run in enumerate(runs):
        for path, group in run.groups.items():
            if group:
                united.unite(f"path {path}", f"group {place} {group}")
    return {path: united.smallest(f"path {path}") for path in runs[0].labels}


def _differences(first: HeldOut, other: HeldOut) -> Iterator[str]:
    ours, theirs = first.labels.keys(), other.labels.keys()
    for run, without, paths in ((first, other, ours - theirs), (other, first, theirs - ours)):
        if paths:
            named = listed([_named(path, run.digests[path]) for path in sorted(paths)])
            photos = counted(len(paths), "photo")
            yield f"{run.run} has {photos} that {without.run} has not ({named})"
    shared = sorted(ours & theirs)
    changed = [path for path in shared if _differs(first.digests[path], other.digests[path])]
    if changed:
        named = listed(
            [
                f"{path}: {_short(first.digests[path])} in {first.run}, "
                f"{_short(other.digests[path])} in {other.run}"
                for path in changed
            ]
        )
        yield f"{counted(len(changed), 'photo has', 'photos have')} another content ({named})"
    relabelled = [path for path in shared if first.labels[path] != other.labels[path]]
    if relabelled:
        named = listed(
            [
                f"{path}: {first.labels[path]} in {first.run}, {other.labels[path]} in {other.run}"
                for path in relabelled
            ]
        )
        yield f"{counted(len(relabelled), 'photo is', 'photos are')} of another class ({named})"


def _differs(one: str, other: str) -> bool:
    return bool(one and other) and one != other


def _named(path: str, digest: str) -> str:
    return f"{path}, SHA-256 {_short(digest)}" if digest else path


def _short(digest: str) -> str:
    return f"{digest[:SHOWN_DIGITS]}…"
