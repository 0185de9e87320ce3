"""The model card: what the bundle is good for, what not, and where its numbers come from.

In: what the report says of a run, which all comes from saved files. Out: `ModelCard`, typed data,
and `MODEL_CARD.md` beside the model. Its parts follow M. Mitchell et al., "Model cards for model
reporting" (FAT* 2019). Since bundles are passed on, no path of the machine stands in it.
Not covered: the card as text (`markdown`) and as a section of the report (`templates/`).

The card is for people and may be edited, such as to say who answers for the model; so it is not in
the bundle's manifest, and names the SHA-256 of the files that it speaks of instead.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fieldmark.base.counting import counted, listed
from fieldmark.base.files import write_text
from fieldmark.base.run_folder import RunFolder
from fieldmark.evaluation.intervals import Estimate
from fieldmark.evaluation.unfamiliar import UNLIKE
from fieldmark.report import wording
from fieldmark.report.content import ReportContent, read_content
from fieldmark.report.entries import ClassScore
from fieldmark.report.markdown import as_markdown

MAX_CLASSES = 60
"""More are counted, not named; all of them stand in model.json."""
MAX_MIX_UPS = 5
LOCAL = ("Its weights at the start",)
"""Rows of the report that may name a place on the machine."""
RENAMED = {"SHA-256 of their file": "Its weights at the start (SHA-256)"}
"""Rows that follow upon one of those."""

INTERVALS = (
    "Intervals are of 95\u00a0%; they speak of the choice of test photos, not of another training."
)

STRANGERS = "Photos that show none of its classes."
OTHER_STRANGERS = "Photos that show none of its classes, but for classes left out in turn."
DAMAGE = "Noise, blur, strong compression, odd light, and other damage to photos."
NOT_MEASURED = (
    "Photos of another origin: other cameras, places, seasons or subjects of the same name.",
    STRANGERS,
    DAMAGE,
    "Whether it does equally well for all groups of people, where people are in the photos.",
)
"""What no run looks into, and what its accuracy therefore does not speak of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CardTable:
    """A table of texts; the first column names the rows."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CardPart:
    """One part of the card, in the order of the fields."""

    title: str
    paragraphs: tuple[str, ...] = ()
    bullets: tuple[str, ...] = ()
    tables: tuple[CardTable, ...] = ()
    code: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """The whole card."""

    title: str
    parts: tuple[CardPart, ...]


def write_card(run: Path, *, content: ReportContent | None = None) -> Path:
    """Write the card of a finished run beside its model, from the files of the run alone.

    Args:
        run: the run folder.
        content: what was read of it a moment ago; None reads it.

    Returns:
        The path of `MODEL_CARD.md`.

    Raises:
        RunError: The folder holds no finished run, or a file in it is malformed or too new.
        EvaluationError: The predictions are malformed.
    """
    path = RunFolder(run).model_card
    write_text(path, as_markdown(card_of(content or read_content(run))))
    return path


def card_of(content: ReportContent) -> ModelCard:
    """Gather the card of a run."""
    parts = (
        _use(content),
        _data(content),
        _making(content),
        _quality(content),
        _confidence(content),
        _failures(content),
        _damage(content),
        _limits(content),
        _outlook(content),
        _provenance(content),
    )
    return ModelCard(
        title=f"Model card: {content.title}",
        parts=tuple(part for part in parts if part is not None),
    )


def _use(content: ReportContent) -> CardPart:
    names = listed(content.classes, most=MAX_CLASSES)
    num = counted(len(content.classes), "class", "classes")
    return CardPart(
        title="Intended use",
        paragraphs=(
            f"It says which of {num} a photo shows: {names}.",
            wording.expectation(content.accuracy),
        ),
        bullets=(
            "Meant for photos like those of its test. How it does on others is not known.",
            f"It knows nothing but its classes: a photo of anything else is {_strangers(content)}.",
            "Not meant to decide alone where a mistake does harm; see where it fails, below.",
        ),
        code="fieldmark predict THIS_FOLDER PHOTO.jpg",
    )


def _strangers(content: ReportContent) -> str:
    """Say what becomes of a photo that shows none of the classes."""
    unfamiliar = content.unfamiliar
    if unfamiliar is None or not unfamiliar.is_told:
        return "named as one of them"
    return f"named as one of them, and where that shows, called {UNLIKE}"


def _data(content: ReportContent) -> CardPart:
    photos, counts = content.photos, content.photos.counts
    used, met = counted(photos.num_used, "photo"), counted(photos.num_met, "file")
    watched = " They were scored after each epoch." if content.learning.watches_test else ""
    bullets = [
        f"{used} of {met}; {len(photos.repaired):,} repaired, {len(photos.excluded):,} excluded.",
        f"Test photos were set aside and never learned from.{watched}",
    ]
    if photos.num_grouped:
        bullets.append(
            f"{counted(photos.num_grouped, 'photo')} stand in groups of copies, near-duplicates or "
            "others that belong together."
        )
    totals = tuple(
        f"{sum(getattr(count, side) for count in counts):,}"
        for side in ("train", "validation", "test")
    )
    rows = [
        (count.name, f"{count.train:,}", f"{count.validation:,}", f"{count.test:,}")
        for count in counts[:MAX_CLASSES]
    ]
    header = ("Class", "Training", "Validation", "Test")
    table = CardTable(header=header, rows=(*rows, ("All classes", *totals)))
    return CardPart(title="Data", bullets=tuple(bullets), tables=(table,))


def _making(content: ReportContent) -> CardPart:
    transfer, run = content.transfer, content.run
    rows = [
        (RENAMED.get(name, name), value)
        for name, value in (transfer.rows if transfer else ())
        if name not in LOCAL
    ]
    rows += [(step.name, step.what) for step in content.preprocessing.steps]
    rows += [("Recipe", run.recipe), ("Computed on", wording.device(run.device))]
    if run.seconds is not None:
        rows.append(("Took", wording.duration(run.seconds)))
    filled = tuple(row for row in rows if row[1])
    return CardPart(
        title="How it was made",
        paragraphs=(transfer.summary,) if transfer else (),
        tables=(CardTable(header=("What", "Value"), rows=filled),),
    )


def _quality(content: ReportContent) -> CardPart:
    scores = tuple(
        (score.title, *(_share(score.estimate) if score.is_share else _loss(score.estimate)))
        for score in content.scores
    )
    classes = tuple(
        (
            row.name,
            f"{row.support:,}",
            *(_told(one) for one in (row.precision, row.recall, row.f1)),
        )
        for row in content.class_scores[:MAX_CLASSES]
    )
    return CardPart(
        title="How good it is",
        paragraphs=(f"Measured on {counted(content.num_test, 'test photo')}.", INTERVALS),
        tables=(
            CardTable(header=("Score", "Value", "Interval"), rows=scores),
            CardTable(header=("Class", "Test photos", "Precision", "Recall", "F1"), rows=classes),
        ),
    )


def _confidence(content: ReportContent) -> CardPart:
    unfamiliar = content.unfamiliar
    told = (*content.confidence.rows, *(unfamiliar.rows if unfamiliar else ()))
    rows = tuple((row.name, row.value, row.meaning) for row in told)
    sentences = (content.confidence.sentence, *((unfamiliar.sentence,) if unfamiliar else ()))
    return CardPart(
        title="How sure it is",
        paragraphs=sentences,
        tables=(CardTable(header=("What", "Value", "What it means"), rows=rows),),
    )


def _failures(content: ReportContent) -> CardPart:
    if not content.confused:
        told = f"All {counted(content.num_test, 'test photo')} were named right."
        return CardPart(title="Where it fails", paragraphs=(told,))
    return CardPart(
        title="Where it fails",
        paragraphs=(
            content.confused.sentence,
            _hardest(content.class_scores[0]),
        ),
        bullets=tuple(
            wording.mix_up(
                true=pair.true, predicted=pair.predicted, times=pair.times, support=pair.support
            )
            for pair in content.mix_ups[:MAX_MIX_UPS]
        ),
    )


def _hardest(row: ClassScore) -> str:
    return (
        f"The hardest class is {row.name}: of its test photos {wording.percent(row.recall.value)} "
        f"are found ({wording.interval(row.recall)}), and of what is called so "
        f"{wording.percent(row.precision.value)} is right ({wording.interval(row.precision)})."
    )


def _damage(content: ReportContent) -> CardPart | None:
    damage = content.degradation
    if damage is None:
        return None
    rows = [
        (row.name, *(wording.percent(cell.share) for cell in row.cells)) for row in damage.kinds
    ]
    none = wording.percent(damage.undamaged.value)
    header = ("Kind", "Undamaged", *(f"Strength {strength}" for strength in damage.strengths))
    table = CardTable(header=header, rows=tuple((row[0], none, *row[1:]) for row in rows))
    return CardPart(
        title="Damaged photos",
        paragraphs=(damage.sentence, *damage.remarks, damage.method),
        tables=(table,),
    )


def _limits(content: ReportContent) -> CardPart:
    found = tuple(dict.fromkeys(_found(content)))
    opening = () if found else ("Nothing serious was found in the photos.",)
    return CardPart(
        title="Limits",
        paragraphs=opening,
        bullets=(*found, *(f"Not measured: {wording.clause(one)}." for one in _unknown(content))),
    )


def _unknown(content: ReportContent) -> Iterator[str]:
    """Yield what this run did not look into."""
    damage, unfamiliar = content.degradation, content.unfamiliar
    measured = {DAMAGE: damage.not_measured} if damage else {}
    if unfamiliar and unfamiliar.left_out:
        measured[STRANGERS] = OTHER_STRANGERS
    yield from (measured.get(one, one) for one in NOT_MEASURED)


def _found(content: ReportContent) -> Iterator[str]:
    yield from content.run.warnings
    if content.findings:
        yield from (f"{one.title}: {one.summary}" for one in content.findings.serious)
    else:
        yield "The photos were not searched for copies, wrong labels and shortcuts."
    if content.attention and content.attention.warning:
        yield content.attention.warning
    given = content.comparisons.given_split
    if given and given.without_leaked:
        yield (
            "Without the test photos that have a copy in training, the accuracy is "
            f"{_told(given.without_leaked)}."
        )


def _outlook(content: ReportContent) -> CardPart | None:
    more = content.more_photos
    if more is None:
        return None
    told = (more.sentence, more.check, more.method)
    return CardPart(title="Would more photos help?", paragraphs=tuple(filter(None, told)))


def _provenance(content: ReportContent) -> CardPart:
    run = content.run
    rows = {
        "Made": wording.moment(run.ended or run.started),
        "Fieldmark": run.fieldmark_version,
        **{name: version for name, version in run.versions.items() if name != "platform"},
        "Seeds": wording.setting(run.seeds) if run.seeds else "",
        "Photos (SHA-256 over all)": run.data_digest,
        **{f"{name} (SHA-256)": digest for name, digest in content.bundle.items()},
    }
    return CardPart(
        title="Provenance",
        paragraphs=("This card speaks of the files with these digests, and of no others.",),
        tables=(
            CardTable(header=("What", "Value"), rows=tuple(row for row in rows.items() if row[1])),
        ),
    )


def _share(estimate: Estimate) -> tuple[str, str]:
    return wording.percent(estimate.value, decimals=2), wording.interval(estimate)


def _told(estimate: Estimate) -> str:
    value, interval = _share(estimate)
    return f"{value} ({interval})"


def _loss(estimate: Estimate) -> tuple[str, str]:
    return wording.loss(estimate.value), (
        f"{wording.loss(estimate.low)} to {wording.loss(estimate.high)}"
    )
