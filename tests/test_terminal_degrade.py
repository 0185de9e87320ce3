"""Damaged photos as the terminal shows them."""

from pathlib import Path

from fieldmark import terminal_degrade
from fieldmark.degrading import Degraded
from fieldmark.evaluation.degradation_document import Curve, Degradation, SamplePhoto, Step
from fieldmark.evaluation.intervals import Estimate, wilson_interval


def step(strength: int, right: dict[str, int]) -> Step:
    accuracy = wilson_interval(sum(right.values()), 10 * len(right))
    return Step(
        strength=strength,
        amount=float(strength),
        told=f"{strength} px",
        accuracy=accuracy,
        drop=Estimate(value=0.1, low=0.05, high=0.2),
        confidence=0.5,
        num_right=right,
        num_named=right,
    )


def curve(title: str, *rights: dict[str, int], drop: float) -> Curve:
    return Curve(
        key=title.lower(),
        title=title,
        what="something is done",
        source="by hand",
        steps=tuple(step(place + 1, right) for place, right in enumerate(rights)),
        drop=Estimate(value=drop, low=drop - 0.05, high=drop + 0.05),
    )


def text(num_classes: int = 2) -> str:
    names = [f"c{place:02d}" for place in range(num_classes)]
    full = dict.fromkeys(names, 10)
    half = {name: 5 if place else 4 for place, name in enumerate(names)}
    found = Degradation(
        num_photos=10 * num_classes,
        num_test=100,
        seed=0,
        side_px=32,
        num_of_class=full,
        undamaged=step(0, full),
        curves=(curve("Blur", full, full, drop=0.06), curve("Noise", half, half, drop=0.55)),
        drop_of_class={
            name: Estimate(value=0.3 if place == 0 else 0.25, low=0.1, high=0.4)
            for place, name in enumerate(names)
        },
        sample=SamplePhoto(path="a.png", sha256="ab", label="c00"),
    )
    return terminal_degrade.degradation(Degraded(path=Path("runs/run-001"), degradation=found))


def row(told: str, name: str) -> list[str]:
    return next(line for line in told.splitlines() if line.strip().startswith(name)).split()


def test_each_kind_has_a_row_the_most_harmful_first() -> None:
    told = text()
    assert row(told, "Noise") == ["Noise", "100.0", "45.0", "45.0", "55.0"]
    assert row(told, "Blur") == ["Blur", "100.0", "100.0", "100.0", "6.0"]
    assert told.index("Noise  ") < told.index("Blur  ")


def test_each_class_has_a_row_with_what_harms_it_most() -> None:
    told = text()
    assert row(told, "c00") == ["c00", "10", "100.0", "70.0", "noise"]
    assert row(told, "c01") == ["c01", "10", "100.0", "75.0", "noise"]


def test_many_classes_are_cut_and_counted() -> None:
    told = text(15)
    assert "c11" in told
    assert "c12" not in told
    assert "and 3 more classes" in told


def test_it_says_how_it_was_measured_what_it_means_and_where_things_are() -> None:
    told = text()
    assert told.startswith("Measured on 20 of 100 test photos, each class by its share")
    assert "Noise harms most" in told
    assert "\u00a0" not in told
    assert told.endswith(
        "Report      runs/run-001/report.html\nTable       runs/run-001/degradation.csv\n"
    )
