"""What explanations come to, in plain sentences for the page and the terminal.

In: `Explained`. Out: short English text, not yet escaped for HTML.
"""

from fieldmark.base.counting import counted
from fieldmark.evaluation.intervals import Estimate
from fieldmark.models.attention import BORDER_AREA
from fieldmark.report.explained import BorderCue, Explained
from fieldmark.report.wording import percent

MUCH_ALIKE = 0.5
"""Rank correlation with untrained networks from which on a map is said to depend little on what was
learned: half of what the same map has with itself."""


def border_verdict(explained: Explained) -> str:
    """Return whether the evidence lies on the border more than elsewhere."""
    return border_told(explained.border, num_photos=len(explained.photos))


def border_told(border: Estimate | None, *, num_photos: int) -> str:
    """Return whether a mean share of the border, over some photos, is more than its area."""
    if border is None:
        return "Nothing on these photos speaks for the classes that they were named."
    area = percent(BORDER_AREA, decimals=0)
    share = f"{percent(border.value)} of the evidence lies on the outer tenth of each side"
    if num_photos == 1:
        return f"{share}, which is {area} of the photo."
    if leans_on_border(border):
        return f"It looks at the border more than at the rest: {share}, which is {area} of a photo."
    if border.high < BORDER_AREA:
        return f"It looks at the inside of the photos: {share}, which is {area} of a photo."
    return f"It looks at the border as much as at the rest: {share}, which is {area} of a photo."


def cue_sentence(explained: Explained) -> str:
    """Return what the run's shortcut test says of the border; nothing where it was not measured."""
    return cue_told(explained.border_cue, border=explained.border)


def cue_told(cue: BorderCue | None, *, border: Estimate | None) -> str:
    """Return what the shortcut test says of the border, and whether the network looks there."""
    if cue is None:
        return ""
    told = (
        "By the shortcut test of the run, a small model names the class of "
        f"{percent(cue.accuracy.value)} of the photos from the border alone; chance is "
        f"{percent(cue.chance.value)}."
    )
    if cue.is_shortcut and leans_on_border(border):
        return f"{told} The network looks there, too: photos with another background may fool it."
    if cue.is_shortcut:
        return f"{told} A network could learn that instead of the subject."
    return told


def leans_on_border(border: Estimate | None) -> bool:
    """Whether surely more of the evidence lies on the border than its area is worth."""
    return border is not None and border.low > BORDER_AREA


def sanity_sentence(explained: Explained) -> str:
    """Return whether the maps show what was learned; nothing where that could not be tested."""
    sanity = explained.sanity
    if sanity is None:
        return ""
    told = (
        "With all weights drawn at random, the maps of the same photos have a rank correlation of "
        f"{sanity.likeness:.2f} with these (1 is the same, 0 unrelated; mean over "
        f"{counted(sanity.num_photos, 'photo')} and {counted(sanity.num_networks, 'network')})"
    )
    if sanity.likeness >= MUCH_ALIKE:
        return f"{told}: they depend little on what was learned, so do not read much into them."
    return f"{told}: they show what was learned."
