"""What is scored after each epoch, of which photos, and how it is called.

In: nothing. Out: names and titles for charts, tables and sentences.
"""

from dataclasses import dataclass

from fieldmark.report.entries import Epoch


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One score: `key` ends the names of its columns."""

    key: str
    title: str
    is_share: bool
    """Whether it lies in 0..1 and is told in percent; a loss does not."""

    def of(self, epoch: Epoch, prefix: str) -> float:
        """Return the score of a split by its prefix; NaN where it was not taken."""
        value: float = getattr(epoch, f"{prefix}_{self.key}")
        return value


MEASURES = (
    Measure(key="loss", title="Loss", is_share=False),
    Measure(key="accuracy", title="Accuracy", is_share=True),
    Measure(key="precision", title="Precision", is_share=True),
    Measure(key="recall", title="Recall", is_share=True),
    Measure(key="top_k", title="Top-5 accuracy", is_share=True),
    Measure(key="thresholded_precision", title="Precision above 50 %", is_share=True),
    Measure(key="thresholded_recall", title="Recall above 50 %", is_share=True),
)

SPLITS = (("training", "train"), ("validation", "val"), ("test", "test"))
"""The photos that are scored, and the prefix of their columns."""
