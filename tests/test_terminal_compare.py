"""A comparison as text for the terminal."""

from pathlib import Path

from fieldmark.comparing import Comparison
from fieldmark.evaluation.disagreement import Answer, Disagreement
from fieldmark.evaluation.intervals import Estimate
from fieldmark.evaluation.paired import Pair
from fieldmark.report.comparison_content import Compared, ComparedRun
from fieldmark.terminal_compare import comparison


def estimate(value: float, reach: float = 0.01) -> Estimate:
    return Estimate(value=value, low=value - reach, high=value + reach)


def side(name: str, *, accuracy: float) -> ComparedRun:
    return ComparedRun(
        name=name,
        folder=f"runs/{name}",
        accuracy=estimate(accuracy),
        loss=estimate(0.2),
        f1=estimate(accuracy - 0.02),
        per_class={},
        settings={},
        recipe="quick",
        seconds=None,
    )


def pair(first: int, second: int, *, gain: float, p_value: float) -> Pair:
    return Pair(
        first=first,
        second=second,
        both_right=80,
        only_first=4,
        only_second=1_012,
        both_wrong=4,
        num_named_otherwise=1_016,
        accuracy=estimate(gain),
        loss=estimate(-0.0004),
        f1=estimate(gain),
        mcnemar=p_value,
        p_value=p_value,
        p_adjusted=p_value,
    )


def result(*, num_groups: int = 1_100) -> Comparison:
    answers = (Answer(predicted="cat", confidence=0.9, is_right=True),) * 3
    compared = Compared(
        runs=(side("[bold]a", accuracy=0.8), side("b", accuracy=0.9), side("c", accuracy=0.81)),
        pairs=(
            pair(0, 1, gain=0.1, p_value=0.00001),
            pair(0, 2, gain=0.01, p_value=0.5),
            pair(1, 2, gain=-0.09, p_value=0.034),
        ),
        disagreements=(Disagreement(path="cat/1.png", true="cat", answers=answers),),
        num_photos=1_100,
        num_groups=num_groups,
        digests={},
    )
    return Comparison(path=Path("runs/compare-001"), compared=compared)


def test_runs_pairs_verdict_and_places_are_told() -> None:
    lines = [line.strip() for line in comparison(result()).splitlines()]
    assert lines[0] == "3 runs on 1,100 test photos, 1 not named alike"
    assert "[bold]a  80.0 (79.0 to 81.0)  78.0 (77.0 to 79.0)  0.200 (0.190 to 0.210)" in lines
    rows = [line.split("  ") for line in lines]
    cells = [[cell.strip() for cell in row if cell] for row in rows]
    assert ["[bold]a", "b", "+10.0 (+9.0 to +11.0)", "4 / 1,012", "p < 0.0001 *"] in cells
    assert ["[bold]a", "c", "+1.0 (+0.0 to +2.0)", "4 / 1,012", "p = 0.50"] in cells
    assert ["b", "c", "-9.0 (-10.0 to -8.0)", "4 / 1,012", "p = 0.034 *"] in cells
    # Never minus zero.
    assert ["b", "c", "-9.0 (-10.0 to -8.0)", "+0.000 (-0.010 to +0.010)"] in cells
    assert "p is adjusted for 3 pairs" in lines
    assert lines[-4:] == [
        "b names the most photos right, 90.0\u00a0%. It can be told apart from every other run.",
        "",
        "Page        runs/compare-001/compare.html",
        "Photos      runs/compare-001/compare.csv lists the 1 photo",
    ]


def test_groups_are_told_where_photos_belong_together() -> None:
    assert (
        comparison(result(num_groups=900))
        .splitlines()[0]
        .endswith("; 900 groups of photos that belong together")
    )
