"""Writes the page of a study: what each field does, what depends on what, and the best recipe.

In: the folder of a study, finished or not. Out: `study.html` in it, one HTML file that needs
nothing else, runs no scripts and asks for nothing.
Not covered: what it says (`study_content`, `fieldmark.studies`), and its charts (`study_charts`).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fieldmark._version import __version__
from fieldmark.base.files import write_text
from fieldmark.base.run_folder import RunFolder
from fieldmark.evaluation.evaluation import Evaluation
from fieldmark.report.charts import Chart, widened
from fieldmark.report.dots import dot_row
from fieldmark.report.environment import render_page
from fieldmark.report.run_files import read_json
from fieldmark.report.scales import scale_ceiling
from fieldmark.report.study_charts import (
    SeriesCharts,
    curve_charts,
    interaction_chart,
    search_chart,
    slice_chart,
)
from fieldmark.report.study_content import (
    STATUS_WORDS,
    StudyContent,
    best_text,
    counts_text,
    design_text,
    interval_ends,
    split_text,
    study_content,
)
from fieldmark.report.wording import moment
from fieldmark.studies.amounts import amount, factor_words, number
from fieldmark.studies.analysis import analyse
from fieldmark.studies.estimates import Interaction
from fieldmark.studies.names import title_of, value_text
from fieldmark.studies.outcomes import IN_POINTS, Outcome
from fieldmark.studies.record import StudyFolder, read_record
from fieldmark.studies.space import Factor, Range
from fieldmark.studies.store import read_trials
from fieldmark.studies.wording import interaction_sentence

SECTIONS = (
    ("overview", "Overview"),
    ("conclusions", "Do the conclusions hold?"),
    ("effects", "What each field does"),
    ("together", "What depends on what"),
    ("importance", "What mattered"),
    ("curves", "Learning curves"),
    ("overfitting", "Overfitting"),
    ("best", "Best recipe"),
    ("trials", "Trials"),
    ("method", "How it was done"),
)
"""Id and title; each id has a template of its name. Some are left out: see `sections_of`."""
SHORT_TITLES = {
    "conclusions": "Conclusions",
    "effects": "Effects",
    "together": "Together",
    "importance": "Importance",
    "curves": "Curves",
    "method": "Method",
}
"""As they stand in the bar of links, where room is scarce."""
ABOUT: Mapping[str, str] = {
    "conclusions": (
        "The study that the recipe reference comes from looked at pairs of curves. Here each of "
        "its conclusions is a difference with an interval."
    ),
    "effects": (
        "Each dot is the mean over all values of the other fields, each counting the same. Its "
        "95\u00a0% interval says how surely it lies away from the mean of all, the upright stroke: "
        "where two intervals of a field with two values do not overlap, the difference is shown."
    ),
    "together": (
        "Where lines run side by side, a field does the same whatever the other is set to. Where "
        "they do not, the one cannot be judged without the other."
    ),
    "importance": (
        "A search goes where it is good, so its trials are no fair sample of the space. A forest "
        "of trees fills in the rest, and its differences are shared out among the fields."
    ),
    "curves": (
        "The mean of all trials with a value, after each epoch. The band reaches from the lowest "
        "to the highest of the seeds. A trial that ended early counts on with its last epoch."
    ),
    "overfitting": (
        "The gap is the accuracy on training photos, as they were seen in training, less that on "
        "validation photos. Augmentation makes training photos harder, so it narrows the gap from "
        "both sides."
    ),
    "best": (
        "Settings are chosen by validation photos alone; the test photos are looked at once, when "
        "the best recipe has been trained in full."
    ),
}
"""What a section is about, for readers who meet its subject for the first time."""
NUM_STEPS = 5
"""A scale of dots is divided into about so many round steps, and ends on one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """The ends of a scale of dots, as numbers and as they are written."""

    low: float
    high: float
    low_text: str
    high_text: str


def write_study_page(folder: Path) -> Path:
    """Build the page of a study from its folder alone and write it there.

    Args:
        folder: of the study, whose trials may still be running.

    Returns:
        The path of `study.html`.

    Raises:
        RunError: the folder holds no study, or a file in it is malformed or too new.
        EvaluationError: the evaluation of the best recipe's run is malformed.
        OSError: the page cannot be written.
    """
    place = StudyFolder(folder)
    record, trials = read_record(place), read_trials(place.trials_sqlite)
    final = folder / record.final if record.final else place.best
    evaluation = RunFolder(final).evaluation_json
    content = study_content(
        record,
        trials,
        analyse(trials, record),
        title=Path(record.photos).name or folder.resolve().name,
        best_toml=place.best_toml.read_text("utf-8") if place.best_toml.is_file() else "",
        test=Evaluation.from_json(read_json(evaluation)) if evaluation.is_file() else None,
    )
    write_text(place.study_html, render(content))
    return place.study_html


def sections_of(content: StudyContent) -> tuple[tuple[str, str], ...]:
    """Return the id and title of each section that this study has something to say in."""
    analysis = content.analysis
    effects = analysis.effects.get("val_accuracy")
    has = {
        "conclusions": bool(analysis.conclusions),
        "effects": bool(analysis.effects),
        "together": effects is not None and bool(effects.interactions),
        "importance": analysis.is_search,
        "curves": content.has_curves and not analysis.is_search,
        "overfitting": "gap" in analysis.effects,
        "best": content.record.best is not None,
    }
    return tuple((id_, title) for id_, title in SECTIONS if has.get(id_, True))


def render(content: StudyContent) -> str:
    """Return the whole page; the same content gives the same text."""
    record, analysis = content.record, content.analysis
    return render_page(
        "study.html.j2",
        content=content,
        sections=sections_of(content),
        short_titles=SHORT_TITLES,
        section_folder="study/",
        version=record.versions.get("fieldmark", __version__),
        abouts=ABOUT,
        counts=counts_text(content.counts),
        status_words=STATUS_WORDS,
        design=design_text(record),
        split=split_text(record.split_counts),
        best_setting=best_text(record),
        provenance=_provenance(content),
        scales={outcome: _scale(content, outcome) for outcome in analysis.effects},
        dot_row=dot_row,
        amount=amount,
        number=number,
        factor_words=factor_words,
        name_of_value=value_text,
        title_of=title_of,
        together=_together(content),
        curves=_curves(content),
        slices=_slices(content),
        search=search_chart(content.trials) if analysis.is_search else None,
    )


def _scale(content: StudyContent, outcome: Outcome) -> Scale:
    ends = interval_ends(content.analysis.effects[outcome])
    low, high = widened(min(ends, default=0.0), max(ends, default=1.0))
    step = scale_ceiling((high - low) / NUM_STEPS)
    low, high = math.floor(low / step) * step, math.ceil(high / step) * step
    low = 0.0 if low < 0 <= min(ends, default=0.0) else low
    high = min(high, 1.0) if outcome == "val_accuracy" else high
    scale = 100 if outcome in IN_POINTS else 1
    unit = {"val_accuracy": "\u00a0%", "gap": "\u00a0points"}.get(outcome, "")
    low_text, high_text = (f"{scale * end:.4g}{unit}" for end in (low, high))
    return Scale(low=low, high=high, low_text=low_text, high_text=high_text)


def _together(content: StudyContent) -> list[tuple[SeriesCharts, str, Interaction]]:
    """Return each interaction, the plainest first, with its chart and its sentence."""
    effects = content.analysis.effects.get("val_accuracy")
    if effects is None:
        return []
    told = []
    for interaction in sorted(effects.interactions, key=lambda one: one.p_adjusted or 0.0):
        sentence = interaction_sentence(interaction, "val_accuracy")
        if not sentence:
            chance = content.analysis.chance("val_accuracy")
            sentence = (
                f"No dependence that {chance} can show."
                if interaction.p_adjusted is not None
                else f"Lines apart from parallel; {chance}."
            )
        told.append((interaction_chart(interaction, "val_accuracy"), sentence, interaction))
    return told


def _curves(content: StudyContent) -> list[SeriesCharts]:
    charts = [curve_charts(content.trials, factor) for factor in content.record.factors]
    return [each for each in charts if each is not None]


def _slices(content: StudyContent) -> Sequence[Chart]:
    if not content.analysis.is_search:
        return ()
    dimensions: list[Factor | Range] = [*content.record.ranges, *content.record.factors]
    return [slice_chart(content.trials, dimension) for dimension in dimensions]


def _provenance(content: StudyContent) -> list[tuple[str, str]]:
    record = content.record
    versions = ", ".join(f"{name} {version}" for name, version in record.versions.items())
    rows = {
        "Command": record.command,
        "Photos": record.photos,
        "Data digest (SHA-256)": record.data_digest,
        "Recipe": f"{record.recipe_name}: {record.recipe_reason}",
        "Seeds": ", ".join(map(str, record.seeds)),
        "Engine": record.engine,
        "Started": moment(record.started),
        "Ended": moment(record.ended),
        "Versions": versions,
    }
    return [(name, value) for name, value in rows.items() if value]
