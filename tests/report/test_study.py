"""The page of a study: complete, safe, the same every time, at any stage of the study."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fieldmark.base.errors import RunError
from fieldmark.evaluation.evaluation import Evaluation, evaluate
from fieldmark.evaluation.intervals import Estimate
from fieldmark.evaluation.predictions import Predictions
from fieldmark.report.dots import MARGIN, WIDTH, dot_row
from fieldmark.report.study import render, sections_of, write_study_page
from fieldmark.report.study_charts import curve_charts, interaction_chart, search_chart, slice_chart
from fieldmark.report.study_content import StudyContent, design_text, study_content
from fieldmark.studies.analysis import analyse, effects_json, write_effects
from fieldmark.studies.effects import effects_of
from fieldmark.studies.record import Best, StudyFolder, StudyRecord, write_record
from fieldmark.studies.space import Factor, Range
from fieldmark.studies.store import SqliteTrials
from fieldmark.studies.trials import EpochPoint, Trial, TrialResult

ParsePage = Callable[[str], Any]
HOSTILE = "<script>alert(1)</script>"
LR = Factor(key="optim.lr", values=(1e-3, 1e-4))
POLICY = Factor(key="augment.policy", values=("none", "any-side-up"))
NAME = Factor(key="optim.name", values=("sgd", "adam"))
FACTORS = (LR, POLICY, NAME)
SPAN = Range(key="optim.lr", low=1e-5, high=1e-2, is_log=True, is_whole=False)
EPOCHS = 8
MAX_PAGE_BYTES = 400_000


def result(accuracy: float, generator: np.random.Generator, *, epochs: int) -> TrialResult:
    curve = tuple(
        EpochPoint(
            epoch=epoch,
            train_loss=1.5 * math.exp(-0.3 * epoch),
            train_accuracy=min(1.0, accuracy * (1 - math.exp(-epoch)) + 0.05),
            val_loss=1.4 * math.exp(-0.3 * epoch) + float(generator.normal(0, 0.01)),
            val_accuracy=accuracy * (1 - math.exp(-epoch)),
        )
        for epoch in range(1, epochs + 1)
    )
    return TrialResult(
        num_validation=500,
        val_loss=1 - accuracy,
        val_accuracy=accuracy,
        train_loss=0.1,
        train_accuracy=min(1.0, accuracy + 0.05),
        curve=curve,
        seconds=12.0,
    )


def made_trials(
    factors: Sequence[Factor] = FACTORS, *, seeds: int = 3, epochs: int = EPOCHS
) -> list[Trial]:
    generator = np.random.default_rng(0)
    trials: list[Trial] = []
    for values in product(*(factor.values for factor in factors), range(seeds)):
        settings = dict(zip((factor.key for factor in factors), values[:-1], strict=True))
        accuracy = 0.85 + 0.03 * (settings.get("optim.lr") == 1e-4)
        accuracy += (
            0.04 * (settings.get("optim.lr") == 1e-4) * (settings.get("optim.name") == "adam")
        )
        accuracy += float(generator.normal(0, 0.004))
        trials.append(
            Trial(
                number=len(trials),
                settings=settings,
                seed=values[-1],
                kind="network",
                status="finished",
                attempts=1,
                result=result(accuracy, generator, epochs=epochs),
            )
        )
    return trials


def searched_trials(num: int = 20) -> list[Trial]:
    generator = np.random.default_rng(1)
    trials = []
    for number, place in enumerate(generator.random(num).tolist()):
        settings = {"optim.lr": 10 ** (-5 + 3 * place), "optim.name": NAME.values[number % 2]}
        accuracy = 0.9 - 0.3 * (place - 0.6) ** 2
        trials.append(
            Trial(
                number=number,
                settings=settings,
                seed=0,
                kind="head",
                status="pruned" if number == 3 else "finished",
                result=result(accuracy, generator, epochs=2),
            )
        )
    return trials


def made_record(**changes: Any) -> StudyRecord:
    record = StudyRecord(
        command=f"fieldmark study photos {HOSTILE}",
        photos="photos of animals",
        data_digest="ab" * 32,
        classes=("cat", "dog"),
        split_counts={"train": 3000, "validation": 500, "test": 700},
        recipe_name="reference",
        recipe_reason="the preset asks for it",
        recipe={},
        factors=FACTORS,
        ranges=(),
        design="full",
        num_settings=8,
        num_possible=8,
        seeds=(0, 1, 2),
        replicates="seed",
        halving=False,
        planned={"network": 24},
        engine="local",
        preset="reference",
        started="2026-11-22T12:00:00+00:00",
        ended="2026-11-22T13:00:00+00:00",
        seconds=3600.0,
        status="finished",
        best=Best(
            settings={"optim.lr": 1e-4, "augment.policy": "none", "optim.name": "adam"},
            num_trials=3,
            val_accuracy=0.92,
            val_loss=0.31,
            reason="It has the highest mean accuracy.",
        ),
        notes=(f"A note {HOSTILE}.",),
        versions={"fieldmark": "0.1.0"},
    )
    return replace(record, **changes)


def searched_record() -> StudyRecord:
    return made_record(
        factors=(NAME,), ranges=(SPAN,), design="search", preset=None, best=None, seeds=(0,)
    )


def content_of(record: StudyRecord, trials: Sequence[Trial], **more: Any) -> StudyContent:
    return study_content(record, trials, analyse(trials, record), title="animals", **more)


def made_evaluation() -> Evaluation:
    generator = np.random.default_rng(2)
    labels_N = generator.integers(2, size=40)
    logits_NC = generator.normal(size=(40, 2)).astype(np.float32)
    logits_NC[np.arange(40), labels_N] += 1
    predictions = Predictions(
        paths=tuple(f"{place}.png" for place in range(40)),
        splits=np.array(["test"] * 40),
        labels_N=labels_N,
        classes=("cat", "dog"),
        logits_NC=logits_NC,
    )
    return evaluate(predictions, num_resamples=20)


STAGES: dict[str, Callable[[], StudyContent]] = {
    "finished": lambda: content_of(made_record(), made_trials(), best_toml="[optim]\nlr = 1e-4\n"),
    "tested": lambda: content_of(made_record(final="best"), made_trials(), test=made_evaluation()),
    "begun": lambda: content_of(made_record(status="running", best=None), []),
    "one trial": lambda: content_of(made_record(status="interrupted"), made_trials()[:1]),
    "one seed": lambda: content_of(made_record(seeds=(0,)), made_trials(seeds=1)),
    "no epochs": lambda: content_of(made_record(preset=None), made_trials(epochs=0)),
    "search": lambda: content_of(searched_record(), searched_trials()),
    "search begun": lambda: content_of(searched_record(), searched_trials(3)),
}


@pytest.mark.parametrize("stage", STAGES)
def test_the_page_is_whole_safe_and_the_same_at_every_stage(
    stage: str, parse_page: ParsePage
) -> None:
    content = STAGES[stage]()
    text = render(content)
    assert text == render(STAGES[stage]())
    assert len(text) < MAX_PAGE_BYTES
    page = parse_page(text)
    assert page.errors == []
    assert not page.all("script", "link", "iframe", "object", "embed", "base", "form", "img")
    assert HOSTILE not in text
    assert HOSTILE in page.text
    for outside in ("http:", "https:", "@import", "url("):
        assert outside not in text
    ids = Counter(attributes["id"] for _, attributes in page.elements if "id" in attributes)
    assert [name for name, times in ids.items() if times > 1] == []
    links = {attributes["href"] for attributes in page.all("a")}
    assert {f"#{id_}" for id_, _ in sections_of(content)} <= links
    assert "nan" not in page.text.split()


def test_everything_that_was_found_is_told(parse_page: ParsePage) -> None:
    content = STAGES["tested"]()
    text = parse_page(render(content)).text
    analysis = content.analysis
    for outcome in ("val_accuracy", "val_loss", "gap"):
        for sentence in analysis.sentences(outcome):
            assert sentence in text
    for conclusion in analysis.conclusions:
        assert conclusion.claim in text
        assert conclusion.evidence in text
    assert content.test is not None
    assert f"{100 * content.test.accuracy.value:.1f}" in text
    assert "on 40 test photos, once" in text
    assert "Every combination of values: 8 settings, 3 seeds each." in text
    assert "one photo is 0.2 points" in text


def test_sections_are_those_that_have_something_to_say() -> None:
    sections = {stage: {id_ for id_, _ in sections_of(made())} for stage, made in STAGES.items()}
    assert sections["begun"] == {"overview", "trials", "method", "conclusions"}
    assert "importance" in sections["search"]
    assert not {"effects", "together", "curves", "conclusions"} & sections["search"]
    assert "curves" not in sections["no epochs"]
    assert {"effects", "together", "curves", "overfitting", "best"} <= sections["finished"]


def test_a_failed_trial_stands_with_its_error_and_is_counted(parse_page: ParsePage) -> None:
    trials = made_trials()
    trials[4] = replace(trials[4], status="failed", error="it ran out of memory", result=None)
    text = parse_page(render(content_of(made_record(), trials))).text
    assert "failed: it ran out of memory" in text
    assert "1 trial failed" in text


def test_trials_stopped_early_are_called_so_wherever_they_are_met(parse_page: ParsePage) -> None:
    content = STAGES["search"]()
    assert content.counts["pruned"] == 1
    text = parse_page(render(content)).text
    assert "19 trials finished, 1 stopped early" in text
    assert text.count("stopped early") >= 4  # above, on a tile, under the chart, in the table
    for other in ("pruned", "given up"):
        assert other not in text


def test_a_value_stays_on_one_line_unless_it_is_longer_than_a_line() -> None:
    text = render(STAGES["finished"]())
    assert '<td><span class="nowrap">1e-4</span></td>' in text
    assert 'class="level nowrap"><span class="swatch s2"></span>adam</th>' in text
    long = Factor(key="model.backbone", values=("a" * 25, "b" * 24))
    text = render(content_of(made_record(factors=(long,), best=None), made_trials((long,))))
    assert f"<td>{'a' * 25}</td>" in text
    assert f'<td><span class="nowrap">{"b" * 24}</span></td>' in text


def test_settings_are_ordered_by_their_mean_accuracy_and_the_best_is_marked() -> None:
    content = STAGES["finished"]()
    accuracies = [row.val_accuracy for row in content.settings]
    assert accuracies == sorted(accuracies, reverse=True)
    assert [row.values for row in content.settings if row.is_best] == [("1e-4", "none", "adam")]
    assert {row.num_trials for row in content.settings} == {3}
    members = [
        trial.result.val_accuracy
        for trial in content.trials
        if trial.result
        and trial.settings == {"optim.lr": 1e-4, "augment.policy": "none", "optim.name": "adam"}
    ]
    (best,) = (row for row in content.settings if row.is_best)
    assert best.val_accuracy == pytest.approx(np.mean(members))
    assert best.spread == pytest.approx(np.std(members, ddof=1))
    assert best.gap == pytest.approx(0.05)


def test_two_dots_of_a_field_overlap_just_where_their_difference_is_not_shown() -> None:
    for seed_noise in (0.001, 0.03):
        generator = np.random.default_rng(3)
        trials = [
            Trial(
                number=0,
                settings={"optim.lr": value},
                seed=seed,
                kind="head",
                status="finished",
                result=result(
                    0.8 + 0.02 * place + float(generator.normal(0, seed_noise)),
                    generator,
                    epochs=0,
                ),
            )
            for place, value in enumerate(LR.values)
            for seed in range(3)
        ]
        content = content_of(made_record(factors=(LR,)), trials)
        first, second = content.effect_rows("val_accuracy")[0].rows
        assert first.interval is not None
        assert second.interval is not None
        assert first.ahead is not None
        assert second.ahead is None
        assert first.ahead.is_shown == (first.interval.high < second.interval.low)


def test_a_dot_stands_at_its_share_of_the_scale() -> None:
    svg = dot_row(0.75, Estimate(value=0.75, low=0.5, high=1.0), low=0.5, high=1.0, mark=0.5)
    middle = MARGIN + (WIDTH - 2 * MARGIN) / 2
    assert f'cx="{middle:.1f}"' in svg
    assert f'd="M{MARGIN:.1f} 9H{WIDTH - MARGIN:.1f}"' in svg
    assert 'class="range"' not in dot_row(0.75, None, low=0.5, high=1.0, mark=0.5)


def test_lines_of_an_interaction_are_the_means_of_its_cells() -> None:
    effects = effects_of(made_trials(), FACTORS)
    assert effects is not None
    (interaction,) = (each for each in effects.interactions if each.keys == (LR.key, NAME.key))
    drawn = interaction_chart(interaction, "val_accuracy")
    assert [entry.name for entry in drawn.legend] == ["sgd", "adam"]
    svg = drawn.charts[0].svg
    assert svg.count('class="line s1"') == svg.count('class="line s2"') == 1
    assert f"1e-4: adam {100 * interaction.means[1][1]:.1f}" in svg


def test_curves_have_a_line_and_a_band_a_value() -> None:
    drawn = curve_charts(made_trials(), LR)
    assert drawn is not None
    assert [chart.title for chart in drawn.charts] == ["Accuracy", "Loss"]
    svg = drawn.charts[0].svg
    assert svg.count('class="band s') == 2
    assert svg.count('class="line s1 faint"') == 1
    assert curve_charts(made_trials(epochs=0), LR) is None


def test_every_trial_of_a_search_is_a_dot() -> None:
    trials = searched_trials()
    svg = slice_chart(trials, SPAN).svg
    assert svg.count('<circle class="s1"') == 19
    assert svg.count('<circle class="raw"') == 1
    assert "10⁻⁴" in svg
    assert slice_chart(trials, NAME).svg.count("<circle") == 20
    drawn = search_chart(trials)
    assert drawn is not None
    assert "best so far" in drawn.svg
    assert search_chart(trials[:1]) is None


def test_the_page_is_built_from_the_folder_alone(tmp_path: Path, parse_page: ParsePage) -> None:
    folder = StudyFolder(tmp_path / "study")
    folder.path.mkdir()
    record, trials = made_record(), made_trials()
    write_record(folder, record)
    with SqliteTrials(folder.trials_sqlite) as store:
        store.add([replace(trial, status="waiting", result=None) for trial in trials])
    page = write_study_page(folder.path)
    assert page == folder.path / "study.html"
    assert "24 trials waiting" in parse_page(page.read_text("utf-8")).text


def test_a_folder_without_a_study_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is not a study"):
        write_study_page(tmp_path)


def test_the_numbers_go_to_a_file(tmp_path: Path) -> None:
    import json

    analysis = analyse(made_trials(), made_record())
    write_effects(tmp_path / "effects.json", analysis)
    content = json.loads((tmp_path / "effects.json").read_text("utf-8"))
    assert content == {"schema_version": 1, **json.loads(json.dumps(effects_json(analysis)))}
    main = content["effects"]["val_accuracy"]["main"][0]
    assert main["key"] == "optim.lr"
    assert [main["differences"][0][name] for name in ("from", "to")] == [1e-3, 1e-4]
    assert content["effects"]["val_accuracy"]["noise"]["source"] == "replicates"
    assert len(content["conclusions"]) == 4
    write_effects(tmp_path / "search.json", analyse(searched_trials(), searched_record()))
    search = json.loads((tmp_path / "search.json").read_text("utf-8"))
    assert search["importance"]["fields"][0]["key"] == "optim.lr"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "every combination of values: 8 settings, 3 seeds each"),
        (
            {
                "design": "fraction",
                "num_settings": 9,
                "num_possible": 27,
                "replicates": "bootstrap",
            },
            (
                "a part of all combinations, chosen so that effects can be told apart: 9 settings "
                "of 27, 3 draws of the training photos each"
            ),
        ),
        ({"design": "search", "num_settings": 30}, "a search of at most 30 trials"),
    ],
)
def test_the_design_is_told_in_words(changes: dict[str, Any], expected: str) -> None:
    assert design_text(made_record(**changes)) == expected
