"""What the page of several trainings shows, as plain typed data.

In: what they came to. Out: `RepeatsContent`.
Not covered: computing it (`fieldmark.evaluation`), and the page (`repeats`).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from fieldmark.evaluation.intervals import Estimate
from fieldmark.evaluation.repeated import (
    FOLDS,
    MEASURES,
    ClassSpread,
    Repeated,
    Spread,
    WrongPhoto,
)
from fieldmark.report.entries import Photo
from fieldmark.report.repeats_wording import AS_SHARES, NAMES, follow_up, meanings, verdict
from fieldmark.report.scales import scale_ceiling

MOST_SHOWN = 36
"""Photos of one kind that the page shows; a table has them all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RepeatsFacts:
    """How they were made."""

    command: str
    photos: str
    """The folder of photos."""
    recipe: str
    strategy: str
    names: tuple[str, ...]
    """Of the run folders, beside the page."""
    seconds: float
    fieldmark_version: str
    folder: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureRows:
    """One measure of all repeats, on one scale."""

    key: str
    name: str
    spread: Spread
    pooled: Estimate | None
    """Over all photos, where the repeats are folds."""
    rows: tuple[tuple[str, Estimate], ...]
    """Name of the repeat, and its value."""
    low: float
    """The left end of the scale."""
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WrongPhotos:
    """Photos that were named wrong in the same way."""

    title: str
    num_photos: int
    shown: tuple[tuple[Photo, WrongPhoto], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RepeatsContent:
    """Everything that the page shows."""

    title: str
    facts: RepeatsFacts
    result: Repeated
    verdict: str
    follow_up: str
    measures: tuple[MeasureRows, ...]
    classes: tuple[tuple[str, ClassSpread], ...]
    """The least recognised first."""
    class_floor: float
    wrong: tuple[WrongPhotos, ...]
    meanings: tuple[tuple[str, str], ...]

    @property
    def are_folds(self) -> bool:
        """Whether the repeats are folds, not seeds."""
        return self.result.kind == FOLDS

    def photos_shown(self) -> Iterator[Photo]:
        """Yield the photos that the page shows, the most important first."""
        for group in self.wrong:
            yield from (photo for photo, _ in group.shown)


def repeats_content(
    result: Repeated, *, facts: RepeatsFacts, digests: Mapping[str, str]
) -> RepeatsContent:
    """Gather what the page shows; the arguments are those of `repeats.write_repeats_page`."""
    classes = sorted(result.per_class.items(), key=lambda item: (item[1].recall.mean, item[0]))
    lows = [min(of.recall.low, of.pooled.recall.low if of.pooled else 1.0) for _, of in classes]
    return RepeatsContent(
        title=Path(facts.photos).name or "Photos",
        facts=facts,
        result=result,
        verdict=verdict(result),
        follow_up=follow_up(result),
        measures=tuple(_measure(key, result) for key in MEASURES),
        classes=tuple(classes),
        class_floor=_floor(lows),
        wrong=tuple(_wrong(result, digests)),
        meanings=tuple(meanings(result)),
    )


def _measure(key: str, result: Repeated) -> MeasureRows:
    rows = tuple((one.name, getattr(one, key)) for one in result.repeats)
    estimates = [estimate for _, estimate in rows]
    is_high_good = key in AS_SHARES and key != "ece"
    return MeasureRows(
        key=key,
        name=NAMES[key],
        spread=result.measures[key],
        pooled=getattr(result.pooled, key) if result.pooled else None,
        rows=rows,
        low=_floor(estimate.low for estimate in estimates) if is_high_good else 0.0,
        high=1.0 if is_high_good else scale_ceiling(max(one.high for one in estimates)),
    )


def _floor(lows: Iterable[float]) -> float:
    """Return where a scale of shares begins: as far below 1 as a round number of errors."""
    return max(0.0, 1 - scale_ceiling(1 - min(lows)))


def _wrong(result: Repeated, digests: Mapping[str, str]) -> Iterator[WrongPhotos]:
    """Yield the photos by how many repeats name them wrong, the most first; folds have one kind."""
    by_times: dict[int, list[WrongPhoto]] = {}
    for photo in result.wrong:
        by_times.setdefault(photo.num_wrong, []).append(photo)
    num = len(result.repeats)
    for times, photos in by_times.items():
        title = f"Wrong with {f'all {num}' if times == num else f'{times} of {num}'} seeds"
        yield WrongPhotos(
            title="" if result.kind == FOLDS else title,
            num_photos=len(photos),
            shown=tuple(
                (Photo(path=photo.path, sha256=digests.get(photo.path, "")), photo)
                for photo in photos[:MOST_SHOWN]
            ),
        )
