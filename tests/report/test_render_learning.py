"""The section of the page on how learning went."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from fieldmark.base.files import write_csv, write_json
from fieldmark.base.run_folder import RunFolder
from fieldmark.report.render import write_report

MakeRun = Callable[..., Path]
ParsePage = Callable[[str], Any]

CHOICES = [
    {"what": "precision", "chosen": "bfloat16", "reason": "312 photos/s, <float32> 121"},
    {"what": "batch norm", "chosen": "frozen", "reason": "few photos"},
]


def tell(run: Path, **values: Any) -> None:
    """Add values to run.json."""
    record = RunFolder(run).run_json
    write_json(record, {**json.loads(record.read_text("utf-8")), **values})


def section(run: Path, parse_page: ParsePage, name: str = "curves") -> Any:
    """Return one section alone, parsed; that on learning where none is named."""
    text = write_report(run).read_text("utf-8")
    assert parse_page(text).errors == []
    return parse_page("<div" + text.split(f'<section id="{name}"')[1].split("</section>")[0])


@pytest.fixture
def trained(make_run: MakeRun) -> Path:
    return make_run(strategy="all")


def test_every_measure_has_its_chart(trained: Path, parse_page: ParsePage) -> None:
    page = section(trained, parse_page)
    labels = [attributes["aria-label"].partition(":")[0] for attributes in page.all("svg")]
    assert labels == [
        "Loss over the epochs",
        "Accuracy over the epochs",
        "Precision",
        "Recall",
        "Top-5 accuracy",
        "Precision above 50 %",
        "Recall above 50 %",
        "Learning rate",
        "Photos per second",
    ]
    assert "12 s, 2.0 s an epoch" in page.text


def test_the_epoch_that_is_kept_is_named_and_marked(trained: Path, parse_page: ParsePage) -> None:
    assert "dotted line" not in section(trained, parse_page).text
    tell(trained, training={"kept_epoch": 4, "stopped_early": "No gain for 2 epochs."})
    page = section(trained, parse_page)
    assert "those after epoch 4 of 6" in page.text
    assert "the dotted line marks the one whose weights are used" in page.text
    assert "Training ended early: no gain for 2 epochs." in page.text
    assert "kept: epoch 4" in page.all("svg")[0]["aria-label"]


def test_what_was_chosen_stands_in_a_table(trained: Path, parse_page: ParsePage) -> None:
    tell(trained, training={"choices": CHOICES})
    page = section(trained, parse_page)
    assert "What was measured and chosen" in page.text
    assert "precision bfloat16 312 photos/s, <float32> 121" in page.text


def test_the_range_test_stands_beside_the_choices(trained: Path, parse_page: ParsePage) -> None:
    rows = [(10.0**-i, 1.0 + i / 10, 1.0 + i / 10) for i in range(6, 0, -1)]
    write_csv(RunFolder(trained).lr_range_csv, header=("lr", "loss", "smoothed"), rows=rows)
    tell(trained, training={"lr": 0.001})
    page = section(trained, parse_page)
    assert page.all("svg")[-1]["aria-label"].endswith("chosen: learning rate 0.001")
    assert "What was measured and chosen" in page.text


def test_photos_are_shown_as_the_network_saw_them(trained: Path, parse_page: ParsePage) -> None:
    assert "as the network saw them" not in section(trained, parse_page, "preprocessing").text
    Image.new("RGBA", (60, 40)).save(RunFolder(trained).augmentation_png)
    page = section(trained, parse_page, "preprocessing")
    image = page.all("img")[-1]
    assert image["src"].startswith("data:image/webp;base64,")
    assert (image["width"], image["height"]) == ("60", "40")
    assert "as the network saw them" in page.text


def test_an_older_run_shows_what_it_has(trained: Path, parse_page: ParsePage) -> None:
    write_csv(
        RunFolder(trained).history_csv,
        header=("epoch", "lr", "train_loss", "train_accuracy", "val_loss", "val_accuracy"),
        rows=[(1, 0.001, 1.0, 0.5, 1.1, 0.4), (2, 0.001, 0.5, 0.8, 0.6, 0.7)],
    )
    page = section(trained, parse_page)
    assert len(page.all("svg")) == 3
    assert "Time to learn" not in page.text


def test_a_single_epoch_is_told_in_numbers(trained: Path, parse_page: ParsePage) -> None:
    history = RunFolder(trained).history_csv
    history.write_text("\n".join(history.read_text().splitlines()[:2]) + "\n")
    page = section(trained, parse_page)
    assert not page.all("svg")
    assert "with a single one there is no course to draw" in page.text
    assert "1.0200 training, 1.1000 validation" in page.text


def test_a_run_that_was_resumed_says_so_here_and_in_its_provenance(
    trained: Path, parse_page: ParsePage
) -> None:
    tell(trained, resumed=["2026-11-22T12:01:00+00:00"])
    assert "went on once" in section(trained, parse_page).text
    text = parse_page(write_report(trained).read_text("utf-8")).text
    assert "Resumed 22 November 2026, 12:01 UTC" in text


def test_a_head_that_was_fitted_first_is_told_as_a_beginning(
    make_run: MakeRun, parse_page: ParsePage
) -> None:
    run, other = make_run("both", strategy="probe"), make_run("other", strategy="all")
    RunFolder(run).history_csv.write_bytes(RunFolder(other).history_csv.read_bytes())
    text = section(run, parse_page).text
    assert "First the pretrained network was kept as it is" in text
    assert "From there it was trained further." in text
    assert "The pretrained network was kept as it is;" not in text


def test_the_verdict_stands_above_the_curves(trained: Path, parse_page: ParsePage) -> None:
    text = section(trained, parse_page).text
    assert "No sign of overfitting, and still learning" in text
    assert text.index("No sign of overfitting") < text.index("Loss over the epochs")
    assert "( train.epochs )" in text


def test_every_epoch_stands_in_a_table_that_can_be_folded(
    trained: Path, parse_page: ParsePage
) -> None:
    tell(trained, training={"kept_epoch": 4})
    page = section(trained, parse_page)
    assert page.all("details") == [{}]
    assert "Every epoch in numbers" in page.text
    assert "4 kept" in page.text
    assert len(page.all("tr")) == 2 + 6
    assert "Training Validation" in page.text


def test_test_photos_that_were_watched_have_curves_and_are_not_said_to_be_unseen(
    make_run: MakeRun, parse_page: ParsePage
) -> None:
    watched = make_run("watched", strategy="all", watched=("test",))
    page = section(watched, parse_page)
    assert all("validation" not in svg["aria-label"] for svg in page.all("svg"))
    assert "test from 1.1 to" in page.all("svg")[0]["aria-label"]
    photos = section(watched, parse_page, "photos").text
    assert "scored after each epoch, for the curves alone; nothing was chosen by them" in photos
    assert "once" not in photos
    assert "judge by, once" in section(make_run("other"), parse_page, "photos").text


def test_the_weights_section_counts_what_was_trained(
    make_run: MakeRun, parse_page: ParsePage
) -> None:
    run = make_run("probe", strategy="probe")
    tell(run, sha256={"weights": "cd" * 32})
    text = section(run, parse_page, "weights").text
    assert "6,147 parameters trained" in text
    assert "120,128 frozen" in text
    assert "cd" * 32 in text


def test_the_optimizer_section_tells_steps_or_their_absence(
    make_run: MakeRun, trained: Path, parse_page: ParsePage
) -> None:
    assert "AdamW" in section(trained, parse_page, "optimizer").text
    assert "L-BFGS" in section(make_run("probe"), parse_page, "optimizer").text
