"""Lays out an evaluation as the rows of the report's tables of scores.

In: an `Evaluation`. Out: `Score` and `ClassScore` rows in the order of the page.
A new field of the evaluation gets its row here, and its one sentence in `wording`.
"""

from collections.abc import Iterator

from fieldmark.evaluation.evaluation import Evaluation
from fieldmark.evaluation.intervals import Estimate
from fieldmark.report.entries import ClassScore, Score
from fieldmark.report.wording import explanation


def scores(evaluation: Evaluation) -> tuple[Score, ...]:
    """Return the rows of the table of scores, the accuracy first and the loss last."""
    return (
        _score("Accuracy", "accuracy", evaluation.accuracy),
        *_top_k(evaluation),
        *_averages(evaluation),
        _score("Precision above 50 %", "thresholded_precision", evaluation.thresholded_precision),
        _score("Recall above 50 %", "thresholded_recall", evaluation.thresholded_recall),
        Score(
            title="Loss",
            meaning=explanation("loss", num_classes=len(evaluation.classes)),
            estimate=evaluation.loss,
            is_share=False,
        ),
    )


def class_scores(evaluation: Evaluation) -> tuple[ClassScore, ...]:
    """Return how each class does, the hardest first: by F1, then by name."""
    rows = [
        ClassScore(
            name=name,
            support=measures.support,
            precision=measures.precision,
            recall=measures.recall,
            f1=measures.f1,
        )
        for name, measures in evaluation.per_class.items()
    ]
    return tuple(sorted(rows, key=lambda row: (row.f1.value, row.name)))


def _top_k(evaluation: Evaluation) -> Iterator[Score]:
    """Leave out k = 1, which is the accuracy, and k that takes in all classes, which is 1."""
    for k, estimate in sorted(evaluation.top_k.items()):
        if 1 < k < len(evaluation.classes):
            yield _score(f"Top-{k} accuracy", "top_k", estimate, k=k)


def _averages(evaluation: Evaluation) -> Iterator[Score]:
    """Give the macro averages a row each, and the micro averages one while they are all equal."""
    averages = {
        "Precision": evaluation.precision,
        "Recall": evaluation.recall,
        "F1": evaluation.f1,
    }
    for title, average in averages.items():
        yield _score(f"{title} (macro)", f"{title.lower()}_macro", average.macro)
    micro = {average.micro for average in averages.values()}
    if len(micro) == 1:
        yield _score("Precision, recall and F1 (micro)", "micro", micro.pop())
        return
    for title, average in averages.items():
        yield _score(f"{title} (micro)", "micro", average.micro)


def _score(title: str, name: str, estimate: Estimate, *, k: int | None = None) -> Score:
    return Score(title=title, meaning=explanation(name, k=k), estimate=estimate, is_share=True)
