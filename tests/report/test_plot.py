"""Lines and axes, read back from their SVG."""

import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence

import pytest

from fieldmark.report.plot import LARGE, MAX_COLUMNS, SMALL, Axis, Line, Mark, Size, line_chart


def axis(low: float, high: float, label: str = "") -> Axis:
    return Axis(
        low=low,
        high=high,
        ticks=[(low, f"{low:g}"), (high, f"{high:g}")],
        tell=lambda value: f"{value:g}",
        label=label,
    )


def line(ys: Sequence[float], *, name: str = "training", kind: str = "train") -> Line:
    return Line(name=name, kind=kind, xs=[float(i) for i in range(len(ys))], ys=ys)


def draw(
    *lines: Line,
    marks: Sequence[Mark] = (),
    size: Size = LARGE,
    height: tuple[float, float] = (0.0, 1.0),
    legend: bool = True,
) -> ET.Element:
    last = max(1, len(lines[0].xs) - 1)
    x, y = axis(0.0, float(last), "epoch"), axis(*height)
    svg = line_chart(lines, title="Loss", x=x, y=y, marks=marks, size=size, legend=legend)
    return ET.fromstring(svg)


def path(svg: ET.Element, kind: str) -> str:
    found = [e.get("d", "") for e in svg.iter("path") if e.get("class") == f"line {kind}"]
    return found[0]


def points(drawn: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"[ML]([\d.]+) ([\d.]+)", drawn)]


def texts(svg: ET.Element) -> list[str]:
    return [element.text or "" for element in svg.iter("text")]


def test_points_stand_where_the_axes_say() -> None:
    (left, bottom), (middle, centre), (right, top) = points(path(draw(line([0, 0.5, 1])), "train"))
    assert (right - left) / 2 == pytest.approx(middle - left, abs=0.1)
    assert (bottom - top) / 2 == pytest.approx(bottom - centre, abs=0.1)
    assert left > 0
    assert right < LARGE.width
    assert top > 0
    assert bottom < LARGE.height


def test_a_value_that_is_no_number_is_a_gap() -> None:
    drawn = path(draw(line([0.1, 0.2, math.nan, 0.3, 0.4])), "train")
    assert drawn.count("M") == 2
    assert drawn.count("L") == 2


def test_a_point_between_gaps_is_still_seen() -> None:
    drawn = path(draw(line([0.1, math.nan, 0.3, math.inf, 0.2])), "train")
    assert drawn.count("h0") == 3


def test_a_line_without_any_number_is_not_drawn() -> None:
    svg = ET.tostring(draw(line([0.1, 0.2]), line([math.nan] * 2, kind="test")), encoding="unicode")
    assert "nan" not in svg
    assert svg.count('class="line test"') == 1  # in the legend alone


def test_few_points_carry_dots_that_tell_their_numbers() -> None:
    svg = draw(line([0.25, math.nan, 0.75]))
    assert [title.text for title in svg.iter("title")] == ["0: training 0.25", "2: training 0.75"]
    assert not list(draw(line([0.5] * 30)).iter("circle"))


def test_many_points_are_thinned_but_no_spike_is_lost() -> None:
    ys = [0.5] * 10_000
    ys[5_003] = 1.0
    drawn = points(path(draw(line(ys)), "train"))
    assert len(drawn) <= 2 * MAX_COLUMNS + 2
    assert min(y for _, y in drawn) < min(drawn[0][1], drawn[-1][1]) - 50


def test_what_lies_beyond_the_axis_stands_at_its_end() -> None:
    (_, low), (_, high), (_, end) = points(path(draw(line([-3.0, 7.0, 1.0])), "train"))
    assert high == end
    assert low == pytest.approx(LARGE.height, abs=60)


def test_a_legend_names_lines_and_marks_where_it_is_wanted() -> None:
    lines = line([0, 1]), line([1, 0], name="validation", kind="validation")
    assert {"training", "validation", "kept"} <= set(
        texts(draw(*lines, marks=[Mark(name="kept", x=1)]))
    )
    bare = draw(line([0, 1]), legend=False)
    assert "training" not in texts(bare)
    assert min(y for _, y in points(path(bare, "train"))) < 15


def test_a_legend_fits_into_a_small_chart() -> None:
    lines = line([0, 1]), line([1, 0], name="validation", kind="validation")
    svg = draw(*lines, marks=[Mark(name="kept", x=1)], size=SMALL, height=(0.0, 0.0001))
    (place,) = [float(e.get("x", "")) for e in svg.iter("text") if e.text == "kept"]
    assert place + 4 * 7 <= SMALL.width


def test_a_mark_is_upright_at_its_place() -> None:
    svg = draw(line([0, 0.5, 1]), marks=[Mark(name="kept", x=1)])
    marks = [e.get("d", "") for e in svg.iter("path") if e.get("class") == "line mark"]
    across = points(path(svg, "train"))[1][0]
    assert marks[0].startswith(f"M{across:.1f} ")
    assert "V" in marks[0]


def test_the_chart_is_told_to_those_who_cannot_see_it() -> None:
    svg = draw(line([0.9, math.nan, 0.1]), marks=[Mark(name="kept", x=2)])
    assert svg.get("role") == "img"
    assert svg.get("aria-label") == "Loss: training from 0.9 to 0.1, kept: 2"
    assert draw(line([math.nan])).get("aria-label") == "Loss"


def test_names_are_escaped() -> None:
    svg = draw(line([0, 1], name="<b>&"), line([0, 1], name='"x"'))
    assert {"<b>&", '"x"'} <= set(texts(svg))


def test_wide_numbers_get_more_room() -> None:
    plain, wide = draw(line([0, 1])), draw(line([0, 1]), height=(0.0, 0.0002))
    assert points(path(wide, "train"))[0][0] > points(path(plain, "train"))[0][0] + 20
