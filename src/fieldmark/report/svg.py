"""A Matplotlib figure as SVG that lives inside an HTML page and takes the page's colours.

In: a `Figure` drawn with the colours of `Ink`. Out: an `<svg>` element as text, the same bytes
for the same figure, whose text stays text in the page's font and whose colours are CSS variables.
Not covered: raster content, mathematics in labels.
"""

import io
import re
import unicodedata
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from matplotlib import style
from matplotlib.figure import Figure

POINTS_PER_INCH = 72
"""Matplotlib's SVG unit; a figure sized in these units has one unit to a CSS pixel."""


TEXT_PX = 12


class Ink:
    """Stand-in colours: drawn as these, they come out as the page's CSS variables."""

    TEXT = "#0000f1"
    GRID = "#0000f2"
    TRAIN = "#0000f3"
    VALIDATION = "#0000f4"
    TEST = "#0000f5"
    MARK = "#0000f6"


VARIABLES: Final = {
    Ink.TEXT: "var(--muted)",
    Ink.GRID: "var(--line)",
    Ink.TRAIN: "var(--train)",
    Ink.VALIDATION: "var(--validation)",
    Ink.TEST: "var(--test)",
    Ink.MARK: "var(--ink)",
}


@contextmanager
def page_style() -> Iterator[None]:
    """Draw with Matplotlib's own defaults, whatever the user's settings are, and text as text."""
    with style.context(["default", {"svg.fonttype": "none", "font.size": TEXT_PX}]):
        yield


def blank_figure(*, width_px: int, height_px: int) -> Figure:
    """Return an empty transparent figure whose SVG has this many units each way."""
    figure = Figure(figsize=(width_px / POINTS_PER_INCH, height_px / POINTS_PER_INCH))
    figure.patch.set_visible(False)
    return figure


def inline_svg(
    figure: Figure, *, name: str, title: str, labels: Mapping[str, str] | None = None
) -> str:
    """Return the figure as an `<svg>` element for an HTML page.

    Args:
        figure: What to draw.
        name: Unique within the page; keeps the ids of two figures apart.
        title: What the figure shows, for those who cannot see it.
        labels: Texts drawn under a stand-in (`{"label 0": "cat"}`). Names given by people go
            this way: Matplotlib then never needs their letters, which its fonts may lack.
    """
    root = ET.fromstring(_matplotlib_svg(figure, name=name))  # noqa: S314 - our own output
    used = set(re.findall(r"#([\w-]+)", " ".join(_references(root))))
    for element in list(root.iter()):
        _clean(element, used=used, labels=labels or {})
    _drop_empty(root)
    for gone in ("width", "height", "version"):
        root.attrib.pop(gone, None)
    root.set("role", "img")
    root.set("aria-label", title)
    return ET.tostring(root, encoding="unicode").replace(" />", "/>")


def short_label(name: str, *, width: int) -> str:
    """Return a name cut to `width` letter widths with an ellipsis, control characters replaced."""
    clean = "".join(letter if letter.isprintable() else "\ufffd" for letter in name)
    if label_width(clean) <= width:
        return clean
    while clean and label_width(clean) > width - 1:
        clean = clean[:-1]
    return clean.rstrip() + "…"


def label_width(text: str) -> int:
    """Return the width of a text in letters; East Asian wide letters count as two."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def _matplotlib_svg(figure: Figure, *, name: str) -> str:
    buffer = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with style.context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", metadata=nothing)
    return buffer.getvalue()


def _references(root: ET.Element) -> list[str]:
    return [
        value
        for element in root.iter()
        for key, value in element.attrib.items()
        if key.endswith("href") or value.startswith("url(")
    ]


def _clean(element: ET.Element, *, used: set[str], labels: Mapping[str, str]) -> None:
    """Strip namespaces, blank space and unused ids, and put in the page's colours and labels."""
    element.tag = element.tag.rpartition("}")[2]
    element.tail = None
    if element.tag != "text":
        element.text = None
    elif element.text:
        element.text = labels.get(element.text, element.text)
    attributes = {key.rpartition("}")[2]: value for key, value in element.attrib.items()}
    if attributes.get("id") not in used:
        attributes.pop("id", None)
    if attributes.get("transform", "").startswith("rotate(-0 "):
        attributes.pop("transform")
    if "style" in attributes:
        attributes["style"] = _page_style(attributes["style"])
    if "d" in attributes:
        attributes["d"] = attributes["d"].replace(" \n", " ").strip()
    element.attrib.clear()
    element.attrib.update(attributes)


def _page_style(style: str) -> str:
    declarations = [part.strip() for part in style.split(";") if part.strip()]
    kept = [part for part in declarations if not part.startswith("font-family")]
    text = "; ".join(kept)
    for stand_in, variable in VARIABLES.items():
        text = text.replace(stand_in, variable)
    return text


def _drop_empty(root: ET.Element) -> None:
    """Remove empty groups, and Matplotlib's style sheet, which would reach the whole page."""
    for parent in root.iter():
        for child in list(parent):
            if child.tag in {"style", "metadata"}:
                parent.remove(child)
    for parent in reversed(list(root.iter())):
        for child in list(parent):
            if child.tag in {"g", "defs"} and not len(child):
                parent.remove(child)
