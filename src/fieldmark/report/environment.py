"""What all pages share: the templates, and how numbers and words are put into them.

In: the name of a page's template and its values. Out: the page as text. Every value is escaped;
a value that is missing is an error. Nothing here loads a plotting library.
"""

import re
from collections.abc import Sequence
from functools import cache
from itertools import groupby
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from fieldmark.base.counting import counted, rounded
from fieldmark.report import wording
from fieldmark.report.entries import MixUp, Setting
from fieldmark.report.matrix import NUM_SHADES, shade
from fieldmark.report.scales import log_place, scale_ceiling, whisker

QUOTED = re.compile(r"(?<!\w)'([^']+)'")
"""Not the apostrophe of "others'", which follows a letter."""
MAX_NOTES = 500
"""Rows of a table of files; more are counted."""
MAX_CLASS_ROWS, FIRST_CLASS_ROWS = 20, 12
"""Longer tables show the first rows and fold the whole."""


def render_page(template: str, **values: Any) -> str:
    """Return a page; the same values give the same text."""
    return _environment().get_template(template).render(**values)


@cache
def _environment() -> Environment:
    """Return the one environment: a page that is written every epoch is compiled once."""
    environment = Environment(
        loader=PackageLoader("fieldmark.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        percent=lambda share, decimals=1: wording.percent(share, decimals=decimals),
        interval=wording.interval,
        points=wording.points,
        count=counted,
        rounded=rounded,
        duration=wording.duration,
        setting=wording.setting,
        ceiling=scale_ceiling,
        loss=wording.loss,
        mix_up=_mix_up,
        by_section=_by_section,
        commands=commands,
        breakable=breakable,
        clause=wording.clause,
        times=lambda shape: shape.replace("x", "×"),
    )
    environment.globals.update(
        whisker=whisker,
        log_place=log_place,
        shade=shade,
        num_shades=NUM_SHADES,
        max_notes=MAX_NOTES,
        max_class_rows=MAX_CLASS_ROWS,
        first_class_rows=FIRST_CLASS_ROWS,
    )
    return environment


def commands(text: str) -> Markup:
    """Set what stands in straight quotes, such as 'fieldmark train', as something to type."""
    parts = QUOTED.split(text)
    marked = [
        Markup("<code>{}</code>").format(part) if place % 2 else escape(part)
        for place, part in enumerate(parts)
    ]
    return Markup("").join(marked)


def breakable(path: str) -> Markup:
    """Let a path be broken after its slashes before it is broken anywhere else."""
    return Markup("/<wbr>").join(path.split("/"))


def _mix_up(pair: MixUp) -> str:
    return wording.mix_up(
        true=pair.true, predicted=pair.predicted, times=pair.times, support=pair.support
    )


def _by_section(settings: Sequence[Setting]) -> list[tuple[str, list[Setting]]]:
    return [(name, list(group)) for name, group in groupby(settings, key=lambda s: s.section)]
