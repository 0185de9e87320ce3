"""The stable codes of the checks: what each finding means for the classifier, and what to do.

In: codes as a user writes them. Out: `CODES`, static texts, and codes that are known to be valid.
Each has a page of its own in `docs/checks/`. A code is never given to another check.
Not covered: the checks themselves; the numbers of one folder, which a finding's summary has.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from fieldmark.base.errors import RecipeError, nearest_spelling


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """What is always true of the findings with one code."""

    code: str
    title: str
    """In a few words, for headings and tables."""
    meaning: str
    """What it means for the classifier."""
    advice: str
    """What to do about it."""


def _code(code: str, title: str, meaning: str, advice: str) -> Code:
    return Code(code=code, title=title, meaning=meaning, advice=advice)


_ALL = (
    _code(
        "FM101",
        "Unreadable files",
        "These files look meant as photos but cannot be read, so nothing is learned from "
        "them. If many are of one class, that class comes out weaker.",
        "Open each file in an image viewer: save it again as JPEG or PNG, fetch it anew from "
        "its source, or delete it.",
    ),
    _code(
        "FM102",
        "Truncated photos",
        "The data of these files stop before their end, as after a download or a copy that broke "
        "off. They are left out, since a part of the picture that is missing would be learned as "
        "grey.",
        "Copy or download them again. What arrives cut off again is cut off at its source.",
    ),
    _code(
        "FM103",
        "Wrong file extension",
        "The content is of another format than the name says. Fieldmark goes by the content "
        "and reads them, but other programs may refuse them.",
        "Nothing has to be done here. Rename the files if other programs are to read them.",
    ),
    _code(
        "FM104",
        "Unusual colours",
        "These photos hold their colours in another way than most: grey, a palette, "
        "transparency, 16 bits or inks (CMYK). All are converted to RGB, but where such photos "
        "belong to one class, the way of saving gives the class away.",
        "Look at a few. Where they all come from one class, collect that class in the same way "
        "as the others, or leave the odd ones out: 'exclude' in labels.csv, then "
        "'fieldmark train --labels labels.csv'.",
    ),
    _code(
        "FM105",
        "Extreme sizes",
        "Small photos are enlarged and show hardly any detail; photos far larger than the rest "
        "are often scans, sheets of several pictures or panoramas.",
        "Look for better copies of the small ones. Cut sheets apart, or leave them out: 'exclude' "
        "in labels.csv, then 'fieldmark train --labels labels.csv'.",
    ),
    _code(
        "FM106",
        "Extreme shapes",
        "The network sees squares. Photos this long are distorted by squashing, lose most of "
        "themselves by cropping, and shrink to a strip by padding.",
        "Cut them to their subject. If the whole folder is of this kind, compare "
        "'--set data.resize=pad' with '--set data.resize=crop'.",
    ),
    _code(
        "FM107",
        "Rotation in the metadata not believed",
        "The metadata of these photos say that they lie on their side, but their pixels stand "
        "upright like the others'. They are read as they lie, and so will new photos be: "
        "straight from a camera, whose note is true, those would lie on their side.",
        "Remove the orientation from the files' metadata, and train again. To have it "
        "obeyed, set 'data.orientation=exif'; to have it ignored without a test, 'stored'.",
    ),
    _code(
        "FM201",
        "Very dark photos",
        "Hardly anything can be made out in these photos, by people or by a network.",
        "Keep them if new photos will be as dark. If not, brighten them, or leave them out: "
        "'exclude' in labels.csv, then 'fieldmark train --labels labels.csv'.",
    ),
    _code(
        "FM202",
        "Very bright photos",
        "These photos are nearly white all over; what was overexposed cannot be brought back.",
        "Keep them if new photos will be as bright. If not, replace them, or leave them out: "
        "'exclude' in labels.csv, then 'fieldmark train --labels labels.csv'.",
    ),
    _code(
        "FM203",
        "Blurred photos",
        "These photos lack the fine detail that the others of their class have. Blur that is "
        "more common in one class than in the others is learned as a mark of it.",
        "Look at them: a soft background is no defect. Leave out what you could not name "
        "yourself: 'exclude' in labels.csv, then 'fieldmark train --labels labels.csv'.",
    ),
    _code(
        "FM204",
        "Single-coloured pictures",
        "There is nothing to see: a blank frame, a covered lens or a placeholder.",
        "Delete them, or leave them out: 'exclude' in labels.csv, then "
        "'fieldmark train --labels labels.csv'.",
    ),
    _code(
        "FM301",
        "Exact copies within a class",
        "The same file lies in a class more than once. Copies stay on one side of the split, "
        "so the accuracy is not flattered, but they count several times and add nothing.",
        "Keep one file of each group.",
    ),
    _code(
        "FM302",
        "The same photo under two labels",
        "Byte for byte the same photo lies in two classes, so at least one label is wrong. "
        "The classifier is taught a contradiction, and a test photo may be counted as a "
        "mistake where it is none.",
        "Decide on one label for each: delete the other file, or note the decision in labels.csv, "
        "which 'fieldmark explore' writes, and give it to 'fieldmark train --labels labels.csv'.",
    ),
    _code(
        "FM303",
        "Near-duplicates within a class",
        "These photos show the same picture: saved again, resized, slightly cut, mirrored or "
        "turned. They stay on one side of the split, so the class holds fewer different photos "
        "than files.",
        "Keep the best one of each group. For photos that belong together without looking "
        "alike (one patient, one burst), give the groups with '--group-by'.",
    ),
    _code(
        "FM304",
        "Near-duplicates under two labels",
        "Nearly the same picture lies in two classes. Either a label is wrong, or the classes "
        "cannot be told apart by the picture alone.",
        "Look at each pair and note the right label in labels.csv ('relabel' and the new label); "
        "then 'fieldmark train --labels labels.csv'.",
    ),
    _code(
        "FM305",
        "Duplicates across the given split",
        "Photos for testing have a copy, a near-duplicate or a photo of their group in "
        "training. Recognising them is memory, not skill, and the accuracy flatters.",
        "Leave 'split.leaks' at its default, which keeps such photos out of training, or "
        "correct the split: the folders, or the CSV that '--split-file' names. "
        "Without a given split Fieldmark makes one that cannot leak.",
    ),
    _code(
        "FM306",
        "Dataset contained twice",
        "Nearly every photo is there twice, so the folder holds half of what it seems to, and "
        "any split that does not know of it tests on photos that were learned.",
        "Give the one folder that holds the photos once, or delete the copies.",
    ),
    _code(
        "FM401",
        "Class imbalance",
        "Some classes have many times the photos of others. When in doubt the classifier will "
        "say the common ones, and the overall accuracy hides how it does on the rare ones.",
        "Add photos of the rare classes. Judge by the recall of each class and by the macro "
        "average, not by the accuracy alone.",
    ),
    _code(
        "FM402",
        "Class too small for the split",
        "Photos that belong together count as one, and of so few hardly any are left to test "
        "with: the recall of the class will be little better than a guess.",
        "Add photos that differ from those there, merge the class with a similar one, or keep "
        "more for testing with '--set split.test=0.3'.",
    ),
    _code(
        "FM501",
        "Suspicious labels",
        "A classifier that has not seen these photos is sure that they belong to another "
        "class. Wrong labels teach mistakes, and in the test photos they count right answers "
        "as wrong.",
        "Go through labels.csv, which 'fieldmark explore' writes with the most suspicious "
        "first, put right what is wrong and train with 'fieldmark train --labels labels.csv'.",
    ),
    _code(
        "FM502",
        "Outliers",
        "These photos look unlike all others of the folder: perhaps they do not belong to it, "
        "or they are rare cases of which more photos are needed.",
        "Look at them. Leave out what does not belong: 'exclude' in labels.csv, then "
        "'fieldmark train --labels labels.csv'. Add photos of the rare cases.",
    ),
    _code(
        "FM601",
        "Shortcuts",
        "The class can be told from something that is not the subject, such as the size of "
        "the image or the colour of its border. A network may learn that instead, score well "
        "here and fail on photos from elsewhere.",
        "Collect the classes in the same way: same source, camera, size, format and "
        "background. Until then test on photos from elsewhere, with "
        "'fieldmark evaluate RUN PHOTOS'.",
    ),
)

CODES: dict[str, Code] = {code.code: code for code in _ALL}
"""All codes in their order."""


def check_codes(codes: Iterable[str]) -> tuple[str, ...]:
    """Return the codes in capitals, sorted, each once.

    Args:
        codes: in any case, one or several with commas between in each.

    Raises:
        RecipeError: there is no such code.
    """
    asked = {code.strip().upper() for some in codes for code in some.split(",")} - {""}
    for code in sorted(asked - CODES.keys()):
        raise RecipeError(
            f"There is no check '{code}' to ignore.{nearest_spelling(code, CODES)} "
            f"Allowed: {', '.join(CODES)}."
        )
    return tuple(sorted(asked))
