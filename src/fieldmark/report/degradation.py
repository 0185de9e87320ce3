"""What damage to photos does to the accuracy: in words, as curves and as tables.

In: a `Degradation`. Out: `DegradationContent`, for the report and the model card.
Not covered: measuring it (`fieldmark.degrading`), and pictures of damage (`damaged_photo`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from fieldmark.data.degrade import KINDS, NUM_STRENGTHS
from fieldmark.evaluation.degradation_document import Curve, Degradation, SamplePhoto, Step
from fieldmark.evaluation.intervals import Estimate
from fieldmark.report import degradation_wording as words
from fieldmark.report.charts import Chart, height_axis
from fieldmark.report.degradation_wording import loss_points
from fieldmark.report.matrix import NUM_SHADES
from fieldmark.report.plot import SMALL, Axis, Band, Line, line_chart
from fieldmark.report.wording import interval, percent

MAX_CLASS_LINES = 12
"""With more classes only the weakest one has its line."""
SAID = (
    words.who_suffers_most,
    words.what_hardly_harms,
    words.what_all_is_taken_for,
    words.what_goes_unnoticed,
)
"""The sentences after the first; those that have nothing to say are left out."""
SHOWN_STRENGTHS = (1, 3, 5)
"""The strengths at which a photo is shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DamageCell:
    """An accuracy in a table, and how dark it is drawn."""

    share: float
    shade: str
    """A class of the style sheet by the loss; nothing where none."""
    title: str
    """What stands there on pointing at it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DamageRow:
    """A row of a table: a kind strength by strength, or a class kind by kind."""

    name: str
    cells: tuple[DamageCell, ...]
    drop: Estimate
    undamaged: float
    """The same share of the same photos as they are."""
    num_photos: int

    @property
    def loss(self) -> tuple[str, str]:
        """How many points are lost on average, and the interval."""
        value, _, ends = loss_points(self.drop).partition(" points (")
        return value, ends.removesuffix(")")


@dataclass(frozen=True, slots=True, kw_only=True)
class KindCard:
    """What a page shows of one kind of damage."""

    key: str
    chart: Chart
    told: tuple[str, ...]
    """How strong it is at each of `SHOWN_STRENGTHS`."""
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DegradationContent:
    """What a page says of damaged photos."""

    sentence: str
    """What harms most, and by how much."""
    remarks: tuple[str, ...]
    """The class that suffers most, what hardly harms, and whether it notices."""
    method: str
    cards: tuple[KindCard, ...]
    undamaged: Estimate
    key: str
    """How to read the curves."""
    kinds: tuple[DamageRow, ...]
    """The most harmful first."""
    kind_titles: tuple[str, ...]
    """The columns of `classes`."""
    classes: tuple[DamageRow, ...]
    """The one that loses most first."""
    sample: SamplePhoto
    seed: int
    not_measured: str
    """Which other damage nobody knows of."""

    @property
    def strengths(self) -> tuple[int, ...]:
        """The columns of `kinds`."""
        return tuple(range(1, NUM_STRENGTHS + 1))


def degradation_content(found: Degradation | None) -> DegradationContent | None:
    """Lay out what was measured; None where nothing was."""
    if found is None:
        return None
    by_harm = sorted(found.curves, key=lambda curve: -curve.drop.value)
    by_loss = sorted(found.drop_of_class, key=lambda name: -found.drop_of_class[name].value)
    axis = _height(found)
    measured = {curve.key for curve in found.curves}
    return DegradationContent(
        sentence=words.what_harms_most(found),
        remarks=tuple(told for say in SAID for told in [say(found)] if told),
        method=words.how_measured(found),
        cards=tuple(_card(found, curve, axis=axis) for curve in found.curves),
        undamaged=found.undamaged.accuracy,
        key=_key(found),
        kinds=tuple(_kind_row(found, curve) for curve in by_harm),
        kind_titles=tuple(curve.title for curve in found.curves),
        classes=tuple(_class_row(found, name) for name in by_loss),
        sample=found.sample,
        seed=found.seed,
        not_measured=words.what_is_unknown(
            [kind.title for kind in KINDS if kind.key not in measured]
        ),
    )


def _key(found: Degradation) -> str:
    told = "Thick, with its 95\u00a0% interval: all photos. Dashed: the weakest class."
    if 1 < len(found.num_of_class) <= MAX_CLASS_LINES:
        return f"{told} Thin: the other classes. Strength 0 is undamaged."
    return f"{told} Strength 0 is undamaged."


def _kind_row(found: Degradation, curve: Curve) -> DamageRow:
    before = found.undamaged.accuracy.value
    cells = tuple(
        DamageCell(
            share=step.accuracy.value,
            shade=loss_shade(before - step.accuracy.value),
            title=f"{step.told}: {interval(step.accuracy)}",
        )
        for step in curve.steps
    )
    return DamageRow(
        name=curve.title,
        cells=cells,
        drop=curve.drop,
        undamaged=before,
        num_photos=found.num_photos,
    )


def _class_row(found: Degradation, name: str) -> DamageRow:
    cells = tuple(
        DamageCell(
            share=found.mean_recall(curve, name),
            shade=loss_shade(found.mean_drop(curve, name)),
            title=_by_strength(found, curve, name),
        )
        for curve in found.curves
    )
    return DamageRow(
        name=name,
        cells=cells,
        drop=found.drop_of_class[name],
        undamaged=found.recall(found.undamaged, name).value,
        num_photos=found.num_of_class[name],
    )


def _by_strength(found: Degradation, curve: Curve, name: str) -> str:
    shares = (percent(found.recall(step, name).value, decimals=0) for step in curve.steps)
    return f"{name}, {curve.title.lower()}, strength by strength: {', '.join(shares)}"


def loss_shade(loss: float) -> str:
    """Return the class of the style sheet for a loss of accuracy, `w1` to the darkest; "" for none.

    By the square root, so that a few points show.
    """
    if loss < 0.005:
        return ""
    return f"w{min(NUM_SHADES, math.ceil(NUM_SHADES * math.sqrt(loss)))}"


def _card(found: Degradation, curve: Curve, *, axis: Axis) -> KindCard:
    weakest = _weakest(found, curve)
    steps = (found.undamaged, *curve.steps)
    xs = [float(step.strength) for step in steps]
    whole = Line(name="named right", kind="test", xs=xs, ys=[step.accuracy.value for step in steps])
    svg = line_chart(
        [*_class_lines(found, steps, xs=xs, weakest=weakest), whole],
        title=curve.title,
        x=_strength_axis(len(curve.steps)),
        y=axis,
        bands=[
            Band(
                kind="test",
                xs=xs,
                lows=[step.accuracy.low for step in steps],
                highs=[step.accuracy.high for step in steps],
            )
        ],
        size=SMALL,
        legend=False,
    )
    caption = f"{curve.what[:1].upper()}{curve.what[1:]}."
    if weakest:
        caption += f" Weakest class: {weakest}."
    return KindCard(
        key=curve.key,
        chart=Chart(title=curve.title, svg=svg, caption=caption),
        told=tuple(step.told for step in curve.steps if step.strength in SHOWN_STRENGTHS),
        source=curve.source,
    )


def _weakest(found: Degradation, curve: Curve) -> str:
    """Return the weakest class under a kind; nothing where there is one class, or no mistake."""
    name = found.weakest_class_of(curve)
    is_worth_it = len(found.num_of_class) > 1 and found.mean_recall(curve, name) < 1
    return name if is_worth_it else ""


def _class_lines(
    found: Degradation, steps: Sequence[Step], *, xs: Sequence[float], weakest: str
) -> list[Line]:
    """Return the lines of single classes, the weakest one last, on top of the others."""
    if not weakest:
        return []
    others = [name for name in found.num_of_class if name != weakest]
    shown = [*(others if len(found.num_of_class) <= MAX_CLASS_LINES else ()), weakest]
    return [
        Line(
            name=name,
            kind="weakest" if name == weakest else "each",
            xs=xs,
            ys=[found.recall(step, name).value for step in steps],
            dots=False,
        )
        for name in shown
    ]


def _height(found: Degradation) -> Axis:
    """Return the one upright axis of all curves, so that they can be compared."""
    steps = [found.undamaged, *(step for curve in found.curves for step in curve.steps)]
    lows = [step.accuracy.low for step in steps]
    for step in steps:
        lows += [found.recall(step, name).value for name in found.num_of_class]
    return height_axis([*lows, 1.0], is_share=True)


def _strength_axis(num_strengths: int) -> Axis:
    return Axis(
        low=-0.15,
        high=num_strengths + 0.15,
        ticks=[(float(place), str(place)) for place in range(num_strengths + 1)],
        tell=lambda place: f"strength {place:.0f}" if place >= 0.5 else "undamaged",
        label="strength",
    )
