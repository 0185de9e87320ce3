"""The colours of the pages, in both schemes."""

import re
from pathlib import Path

import pytest

from fieldmark.report.render import write_report


def luminance(colour: str) -> float:
    """Return the relative luminance of `#rrggbb` by WCAG 2.2."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def mixed(colour: str, ground: str, percent: float) -> str:
    share = percent / 100
    pairs = [(int(colour[i : i + 2], 16), int(ground[i : i + 2], 16)) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(share * c + (1 - share) * g):02x}" for c, g in pairs)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_readable_on_every_ground_it_stands_on(quick_run: Path, scheme: str) -> None:
    quick = write_report(quick_run).read_text("utf-8")
    light, dark = re.findall(r":root \{([^}]*--page[^}]*)\}", quick)
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", light if scheme == "light" else dark))
    for ground in ("page", "card"):
        for ink in ("ink", "muted", "accent", "bad"):
            assert contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground)
    assert contrast(colours["ink"], colours["note"]) >= 4.5
    assert contrast(colours["muted"], colours["sunken"]) >= 4.5
    assert contrast(colours["card"], colours["bad"]) >= 4.5
    for series in ("train", "validation", "test"):
        assert contrast(colours[series], colours["card"]) >= 3, series
        assert contrast(colours[series], colours["page"]) >= 4.5, series
    shades = re.findall(r"color-mix\(in srgb, var\(--(\w+)\) ([\d.]+)%, var\(--card\)\)", quick)
    assert len(shades) == 28
    for name, percent in shades:
        cell = mixed(colours[name], colours["card"], float(percent))
        assert contrast(colours["ink"], cell) >= 4.5, (name, percent)
