"""The sections of the report: their order, their titles, and which of them a run has.

In: the content of a report. Out: ids and titles.
Not covered: what they are about (`explanations`) and how they look (`templates/`).
"""

from fieldmark.report.content import ReportContent

SECTIONS = (
    ("result", "Result"),
    ("photos", "Data exploration"),
    ("grouping", "What grouping does"),
    ("labels", "Corrected labels"),
    ("preprocessing", "Preprocessing"),
    ("network", "Architecture"),
    ("weights", "Weights and transfer"),
    ("optimizer", "Optimizer"),
    ("curves", "Results of training"),
    ("scores", "Evaluation"),
    ("confidence", "How sure it is"),
    ("unfamiliar", "Unlike anything in training"),
    ("confusion", "Confusion matrix"),
    ("mistakes", "Worst mistakes"),
    ("classes", "Class by class"),
    ("attention", "What it looks at"),
    ("degradation", "Damaged photos"),
    ("impact", "Impact of the settings"),
    ("more-photos", "Would more photos help?"),
    ("shortcuts", "Shortcuts"),
    ("findings", "Findings"),
    ("recipe", "Recipe"),
    ("card", "Model card"),
    ("provenance", "Provenance"),
)
"""Id and title in the order of the work; each id has a template of its name, and what it is about
stands in `explanations`. Some are left out: see `sections_of`."""

SHORT_TITLES = {
    "photos": "Data",
    "grouping": "Grouping",
    "labels": "Labels",
    "preprocessing": "Input",
    "network": "Network",
    "weights": "Weights",
    "curves": "Training",
    "confidence": "Confidence",
    "unfamiliar": "Unfamiliar",
    "confusion": "Mix-ups",
    "mistakes": "Mistakes",
    "classes": "Classes",
    "attention": "Attention",
    "degradation": "Damage",
    "impact": "Settings",
    "more-photos": "More photos",
    "card": "Card",
    "provenance": "Origin",
}
"""As they stand in the bar of links, where room is scarce."""


def sections_of(content: ReportContent) -> tuple[tuple[str, str], ...]:
    """Return the id and title of each section that this run has something to say in."""
    compared = content.comparisons
    has = {
        "attention": content.attention is not None and not content.attention.why_not,
        "findings": content.findings is not None,
        "degradation": content.degradation is not None,
        "impact": bool(content.impact),
        "more-photos": content.more_photos is not None,
        "shortcuts": content.shortcuts is not None,
        "grouping": compared.naive_split is not None or compared.given_split is not None,
        "labels": compared.labels is not None,
        "preprocessing": bool(content.preprocessing.steps or content.learning.augmentation),
        "unfamiliar": content.unfamiliar is not None,
        "weights": content.transfer is not None,
    }
    return tuple((id_, title) for id_, title in SECTIONS if has.get(id_, True))
