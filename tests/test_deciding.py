"""What is fitted on validation photos is in every file of a run, and in every answer."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fieldmark
from fieldmark.evaluation import decision
from fieldmark.evaluation.calibration import Temperature
from fieldmark.evaluation.metrics import softmax
from fieldmark.models.bundle import load_bundle
from fieldmark.run import Run, load

Train = Callable[..., Run]
MADE_UP = Temperature(value=3.0, reason="Made up.")
ASKED = ("split.validation=0.3", "abstain.target_accuracy=0.5", "abstain.coverage=0.6")


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory: pytest.TempPathFactory, train_tiny: Train) -> Path:
    """A finished run whose temperature is 3; read only."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decision, "fit_temperature", lambda *_, **__: MADE_UP)
        run = train_tiny(tmp_path_factory.mktemp("runs") / "calibrated", overrides=ASKED)
    assert run.path is not None
    return run.path


def evaluation_of(run: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((run / "evaluation.json").read_text("utf-8"))
    return content


def test_the_bundle_decides_as_the_evaluation_says(calibrated: Path) -> None:
    rule = load_bundle(calibrated / "model").decision
    assert load(calibrated).evaluation.decision == rule
    assert (rule.temperature, rule.temperature_reason) == (3.0, "Made up.")
    assert (rule.target_accuracy, rule.coverage) == (0.5, 0.6)
    assert rule.abstain_below is not None
    assert rule.set_threshold is not None
    saved = evaluation_of(calibrated)
    assert saved["calibration"]["temperature"] == 3.0
    assert saved["abstention"]["threshold"] == rule.abstain_below
    assert saved["conformal"]["threshold"] == rule.set_threshold


def test_confidence_is_calibrated_in_the_table_and_in_new_predictions(
    calibrated: Path, photos: Path
) -> None:
    rows = [row for row in table(calibrated / "predictions.csv") if row["split"] == "test"]
    logits_NC = np.array(
        [[float(row[name]) for name in row if name.startswith("logit:")] for row in rows],
        dtype=np.float32,
    ).astype(np.float64)
    expected_N = softmax(logits_NC / 3.0).max(axis=1)
    told_N = np.array([float(row["confidence"]) for row in rows])
    np.testing.assert_allclose(told_N, expected_N, rtol=1e-12)
    answers = load(calibrated).predict([photos / row["path"] for row in rows])
    found_N = np.array([answer.confidence for answer in answers])
    np.testing.assert_allclose(found_N, expected_N, rtol=1e-5)
    assert load(calibrated).predictions.temperature == 3.0
    for answer in answers:
        assert answer.candidates
        assert answer.is_withheld is not None


def test_the_numbers_computed_anew_are_those_that_were_saved(calibrated: Path) -> None:
    evaluation = load(calibrated).evaluation
    assert json.loads(json.dumps(evaluation.to_json())) == evaluation_of(calibrated)


def test_other_photos_are_judged_by_the_same_rule(calibrated: Path, photos: Path) -> None:
    evaluation = fieldmark.evaluate(calibrated, photos)
    assert evaluation.decision == load_bundle(calibrated / "model").decision
    assert evaluation.abstention.answered is not None
    assert evaluation.conformal.seen is not None


def test_the_report_says_so(calibrated: Path) -> None:
    page = (calibrated / "report.html").read_text("utf-8")
    assert "Made up." in page
    assert "Coverage asked for" in page


def test_an_evaluation_counts_groups_of_the_split(calibrated: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    for file in calibrated.iterdir():
        if file.is_file():
            (tmp_path / "run" / file.name).write_bytes(file.read_bytes())
    (tmp_path / "run" / "model").symlink_to(calibrated / "model")
    before = load(tmp_path / "run").evaluation
    path = tmp_path / "run" / "splits.csv"
    rows = table(path)
    tests = [row["path"] for row in rows if row["split"] == "test"]
    pairs = {name: f"pair {place // 2}" for place, name in enumerate(tests)}
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows({**row, "group": pairs.get(row["path"], row["group"])} for row in rows)
    after = load(tmp_path / "run").evaluation
    assert after.loss.value == before.loss.value
    assert (after.loss.low, after.loss.high) != (before.loss.low, before.loss.high)


def test_a_run_without_validation_photos_says_that_nothing_was_fitted(
    train_tiny: Train, photos: Path, tmp_path: Path
) -> None:
    overrides = ["split.validation=0", "probe.l2=0.03", "abstain.target_accuracy=0.9"]
    run = train_tiny(tmp_path / "run", overrides=overrides)
    rule = run.evaluation.decision
    assert (rule.temperature, rule.abstain_below, rule.set_threshold) == (1.0, None, None)
    page = (tmp_path / "run" / "report.html").read_text("utf-8")
    assert "There are no validation photos to calibrate on" in page
    (answer,) = run.predict([next(photos.rglob("*.png"))])
    assert (answer.candidates, answer.is_withheld, answer.doubt) == (None, None, ())


# Photos unlike those of training


@pytest.fixture(scope="module")
def watchful(tmp_path_factory: pytest.TempPathFactory, train_tiny: Train) -> Path:
    """A finished run that calls at most one in ten familiar photos unfamiliar; read only."""
    overrides = ["split.validation=0.4", "abstain.unfamiliar_rate=0.1"]
    run = train_tiny(tmp_path_factory.mktemp("runs") / "watchful", overrides=overrides)
    assert run.path is not None
    return run.path


def test_the_score_in_the_table_is_that_of_new_predictions(watchful: Path, photos: Path) -> None:
    rows = [row for row in table(watchful / "predictions.csv") if row["split"] == "test"]
    answers = load(watchful).predict([photos / row["path"] for row in rows])
    saved_N = np.array([float(row["unfamiliarity"]) for row in rows])
    found_N = np.array([answer.unfamiliarity for answer in answers])
    np.testing.assert_allclose(found_N, saved_N, rtol=1e-4, atol=1e-4)
    rule = load_bundle(watchful / "model").decision.unfamiliar
    assert rule is not None
    assert rule.rate == 0.1
    assert rule.threshold is not None
    evaluation = load(watchful).evaluation
    assert evaluation.unfamiliar is not None
    assert evaluation.unfamiliar.called is not None
    share = (saved_N > rule.threshold).mean()
    assert evaluation.unfamiliar.called.value == pytest.approx(share)
    assert evaluation.decision.unfamiliar == rule


def test_the_report_and_the_card_speak_of_unfamiliar_photos(watchful: Path) -> None:
    page = (watchful / "report.html").read_text("utf-8")
    assert 'id="unfamiliar"' in page
    assert "The most unfamiliar test photos" in page
    card = (watchful / "model/MODEL_CARD.md").read_text("utf-8")
    assert "called unlike anything it was trained on" in card
    assert "Called unfamiliar above" in card


def test_labelled_photos_of_another_folder_are_scored_too(watchful: Path, photos: Path) -> None:
    evaluation = fieldmark.evaluate(watchful, photos)
    assert evaluation.unfamiliar is not None
    assert evaluation.unfamiliar.called is not None
