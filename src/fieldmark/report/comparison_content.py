"""What the page of a comparison shows, as plain typed data.

In: runs with their scores, the pairs of them, and the photos on which they disagree.
Out: `ComparisonContent`.
Not covered: comparing anything (`fieldmark.evaluation`), and the page (`comparison`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from fieldmark.evaluation.disagreement import Disagreement
from fieldmark.evaluation.evaluation import ClassMetrics
from fieldmark.evaluation.intervals import Estimate
from fieldmark.evaluation.paired import Pair
from fieldmark.report import wording
from fieldmark.report.comparison_wording import p_text, pair_verdict, right_title, verdict
from fieldmark.report.entries import Photo

MAX_PER_PATTERN = 12
"""Photos shown of one kind of disagreement: two full rows of the page; a table has them all."""
MAX_PATTERNS = 8
"""Kinds of disagreement that are shown; among seven runs there are up to 127."""
MAX_IN_TITLE = 3
ABSENT = "–"


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedRun:
    """One run as the comparison sees it."""

    name: str
    """Unlike that of any other run of the comparison."""
    folder: str
    accuracy: Estimate
    loss: Estimate
    f1: Estimate
    """The mean over the classes."""
    per_class: Mapping[str, ClassMetrics]
    settings: Mapping[str, object]
    """Every settled value of its recipe by `section.key`."""
    recipe: str
    seconds: float | None
    """From the folder of photos to the report; None where the run does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """Runs on the same test photos, and what came of comparing them."""

    runs: tuple[ComparedRun, ...]
    """In the order in which they were given."""
    pairs: tuple[Pair, ...]
    """Each run with those after it."""
    disagreements: tuple[Disagreement, ...]
    """The photos that not all runs name alike."""
    num_photos: int
    """Test photos."""
    num_groups: int
    """Groups of them; a photo that stands alone is one."""
    digests: Mapping[str, str]
    """The SHA-256 of each test photo by its path; nothing where no run says it."""

    @property
    def names(self) -> tuple[str, ...]:
        """What the runs are called."""
        return tuple(run.name for run in self.runs)

    @property
    def verdict(self) -> str:
        """What it comes to, in a sentence or two."""
        return verdict(self.runs, self.pairs, num_photos=self.num_photos)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassRow:
    """How each run does on one class."""

    name: str
    support: int
    recalls: tuple[Estimate | None, ...]
    """None where the run does not know the class."""

    @property
    def spread(self) -> float:
        """How far apart the recalls are, 0 to 1; an unknown class is never recognised."""
        values = [recall.value if recall else 0.0 for recall in self.recalls]
        return max(values) - min(values)


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingRow:
    """A setting that is not the same in all runs, with its value in each."""

    name: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One row of a table of differences: the second run less the first."""

    pair: Pair
    first: str
    second: str
    estimate: Estimate
    p_text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """The photos that the same runs name right."""

    title: str
    num_photos: int
    shown: tuple[tuple[Photo, Disagreement], ...]
    """The surest errors first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonContent:
    """Everything that the page shows."""

    title: str
    compared: Compared
    command: str
    sentences: tuple[str, ...]
    """One a pair, those told apart first; none where the headline says it all."""
    accuracy: tuple[Difference, ...]
    f1: tuple[Difference, ...]
    loss: tuple[Difference, ...]
    classes: tuple[ClassRow, ...]
    """The one on which the runs differ most first."""
    patterns: tuple[Pattern, ...]
    num_patterns_hidden: int
    settings: tuple[SettingRow, ...]

    def photos_shown(self) -> Iterator[Photo]:
        """Yield the photos that the page shows, the most important first."""
        for pattern in self.patterns:
            yield from (photo for photo, _ in pattern.shown)


def comparison_content(compared: Compared, *, command: str = "") -> ComparisonContent:
    """Gather what the page shows; the arguments are those of `comparison.write_comparison`."""
    names, pairs = compared.names, compared.pairs
    patterns = _patterns(compared)
    told = sorted(pairs, key=lambda pair: not pair.is_told_apart) if len(pairs) > 1 else []
    return ComparisonContent(
        title=" · ".join(names) if len(names) <= MAX_IN_TITLE else f"{len(names)} runs",
        compared=compared,
        command=command,
        sentences=tuple(
            pair_verdict(pair, names=names, num_photos=compared.num_photos) for pair in told
        ),
        accuracy=tuple(_difference(pair, pair.accuracy, names) for pair in pairs),
        f1=tuple(_difference(pair, pair.f1, names) for pair in pairs),
        loss=tuple(_difference(pair, pair.loss, names) for pair in pairs),
        classes=_class_rows(compared.runs),
        patterns=tuple(patterns[:MAX_PATTERNS]),
        num_patterns_hidden=max(0, len(patterns) - MAX_PATTERNS),
        settings=_differing_settings(compared.runs),
    )


def _difference(pair: Pair, estimate: Estimate, names: Sequence[str]) -> Difference:
    return Difference(
        pair=pair,
        first=names[pair.first],
        second=names[pair.second],
        estimate=estimate,
        p_text=p_text(pair.p_adjusted),
    )


def _class_rows(runs: Sequence[ComparedRun]) -> tuple[ClassRow, ...]:
    names = sorted({name for run in runs for name in run.per_class})
    rows = []
    for name in names:
        of_runs = [run.per_class.get(name) for run in runs]
        support = max(known.support for known in of_runs if known)
        if support:
            recalls = tuple(known.recall if known else None for known in of_runs)
            rows.append(ClassRow(name=name, support=support, recalls=recalls))
    return tuple(sorted(rows, key=lambda row: (-row.spread, row.name)))


def _patterns(compared: Compared) -> list[Pattern]:
    """Return the photos by which runs name them right, the most frequent first, none right last."""
    found: dict[tuple[int, ...], list[Disagreement]] = {}
    for entry in compared.disagreements:
        found.setdefault(entry.right, []).append(entry)
    order = sorted(found, key=lambda right: (not right, -len(found[right]), right))
    return [
        Pattern(
            title=right_title(right, names=compared.names),
            num_photos=len(found[right]),
            shown=tuple(
                (Photo(path=entry.path, sha256=compared.digests.get(entry.path, "")), entry)
                for entry in found[right][:MAX_PER_PATTERN]
            ),
        )
        for right in order
    ]


def _differing_settings(runs: Sequence[ComparedRun]) -> tuple[SettingRow, ...]:
    keys = dict.fromkeys(key for run in runs for key in run.settings)
    rows = []
    for key in keys:
        values = tuple(
            wording.setting(run.settings[key]) if key in run.settings else ABSENT for run in runs
        )
        if len(set(values)) > 1:
            rows.append(SettingRow(name=key, values=values))
    return tuple(rows)
