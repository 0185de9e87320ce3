"""The page of a training that goes on."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fieldmark.base.errors import RunError
from fieldmark.base.run_folder import RunFolder
from fieldmark.report.live import write_live

MakeRun = Callable[..., Path]
ParsePage = Callable[[str], Any]


def live(run: Path, **wishes: Any) -> str:
    write_live(RunFolder(run), **wishes)
    return RunFolder(run).live_html.read_text("utf-8")


def reloads(page: Any) -> list[str]:
    return [a["content"] for a in page.all("meta") if a.get("http-equiv") == "refresh"]


@pytest.fixture
def trained(make_run: MakeRun) -> Path:
    return make_run(strategy="all")


def test_the_page_shows_how_far_it_is_and_reloads_itself(
    trained: Path, parse_page: ParsePage
) -> None:
    page = parse_page(live(trained, num_epochs=10))
    assert page.errors == []
    assert reloads(page) == ["10"]
    assert "Epoch 6 of 10 done" in page.text
    assert "about 8.0 s to go" in page.text
    assert len(page.all("svg")) == 9
    assert not page.all("script", "link", "iframe")


def test_a_finished_page_stays_and_names_the_report(trained: Path, parse_page: ParsePage) -> None:
    page = parse_page(live(trained, num_epochs=6, finished=True))
    assert reloads(page) == []
    assert "Finished after 6 epochs" in page.text
    assert "report.html" in [attributes["href"] for attributes in page.all("a")]
    assert "planned" not in page.text


def test_an_early_end_says_how_many_epochs_were_planned(
    trained: Path, parse_page: ParsePage
) -> None:
    text = parse_page(live(trained, num_epochs=20, finished=True)).text
    assert "Finished after 6 epochs 20 were planned" in text


def test_a_page_of_a_training_that_stopped_says_why_and_stays(
    trained: Path, parse_page: ParsePage
) -> None:
    page = parse_page(live(trained, num_epochs=20, stopped="Interrupted <at> step 7."))
    assert reloads(page) == []
    assert "Stopped after 6 epochs" in page.text
    assert "Interrupted <at> step 7." in page.text
    assert "report.html" not in [attributes["href"] for attributes in page.all("a")]


def test_before_the_first_epoch_the_page_waits(tmp_path: Path, parse_page: ParsePage) -> None:
    page = parse_page(live(tmp_path, num_epochs=3))
    assert page.errors == []
    assert reloads(page) == ["10"]
    assert "The first epoch has begun" in page.text
    assert not page.all("svg")


def test_after_one_epoch_there_are_numbers_and_no_curves(
    trained: Path, parse_page: ParsePage
) -> None:
    history = RunFolder(trained).history_csv
    history.write_text("\n".join(history.read_text().splitlines()[:2]) + "\n")
    page = parse_page(live(trained, num_epochs=3))
    assert not page.all("svg")
    assert "Curves are drawn from the second epoch on." in page.text
    assert "1.0200 training, 1.1000 validation" in page.text


def test_no_verdict_is_passed_while_training_goes_on(trained: Path, parse_page: ParsePage) -> None:
    assert "still learning" not in parse_page(live(trained, num_epochs=9)).text
    assert "still learning" in parse_page(live(trained, num_epochs=9, finished=True)).text


def test_the_verdict_is_that_of_the_report(trained: Path, parse_page: ParsePage) -> None:
    history, record = RunFolder(trained).history_csv, RunFolder(trained).run_json
    header = "epoch,lr,train_loss,train_accuracy,val_loss,val_accuracy\n"
    history.write_text(header + "1,0.1,0.5,0.95,0.5,0.87\n2,0.1,0.5,0.95,0.5,0.87\n")
    few = parse_page(live(trained, num_epochs=2, finished=True)).text
    assert "No sign of overfitting" in few
    told = json.loads(record.read_text()) | {"splits": {"validation": 5000}}
    record.write_text(json.dumps(told))
    assert "a gap of 8.0 points" in parse_page(live(trained, num_epochs=2, finished=True)).text


def test_more_epochs_than_planned_fill_the_bar_and_no_more(
    trained: Path, parse_page: ParsePage
) -> None:
    text = live(trained, num_epochs=2)
    assert "--share:1.0" in text
    assert "Epoch 6 of 6 done" in parse_page(text).text


def test_a_damaged_history_is_named(trained: Path) -> None:
    RunFolder(trained).history_csv.write_text("epoch\n1,2\n")
    with pytest.raises(RunError, match=r"history\.csv, line 2"):
        write_live(RunFolder(trained), num_epochs=3)


def test_nothing_heavy_is_loaded_to_write_the_page() -> None:
    code = (
        "import sys, fieldmark.report.live\n"
        "print([m for m in ('torch', 'timm', 'matplotlib', 'sklearn') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
