"""Fieldmark: from a folder of labelled photos to an image classifier that you can trust.

>>> import fieldmark
>>> run = fieldmark.train("photos")                  # doctest: +SKIP
>>> print(run.evaluation.accuracy)                   # doctest: +SKIP
>>> fieldmark.load("run").predict(["a.jpg"])         # doctest: +SKIP
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fieldmark._version import __version__
from fieldmark.base.errors import FieldmarkError

if TYPE_CHECKING:
    from fieldmark.comparing import Comparison
    from fieldmark.evaluation.evaluation import Evaluation
    from fieldmark.evaluation.intervals import Estimate
    from fieldmark.evaluation.predictions import Predictions
    from fieldmark.explaining import Explanation
    from fieldmark.exploring import Exploration
    from fieldmark.fetching import Fetched
    from fieldmark.models.prediction import Prediction
    from fieldmark.run import Run, load
    from fieldmark.workflow import demo, evaluate, explore, fetch, predict, summary, train

__all__ = [
    "Comparison",
    "Estimate",
    "Evaluation",
    "Explanation",
    "Exploration",
    "Fetched",
    "FieldmarkError",
    "Prediction",
    "Predictions",
    "Run",
    "__version__",
    "compare",
    "demo",
    "evaluate",
    "explain",
    "explore",
    "fetch",
    "load",
    "predict",
    "summary",
    "train",
]

_HOMES = {
    "Comparison": "fieldmark.comparing",
    "Estimate": "fieldmark.evaluation.intervals",
    "Evaluation": "fieldmark.evaluation.evaluation",
    "Explanation": "fieldmark.explaining",
    "Exploration": "fieldmark.exploring",
    "Fetched": "fieldmark.fetching",
    "Prediction": "fieldmark.models.prediction",
    "Predictions": "fieldmark.evaluation.predictions",
    "Run": "fieldmark.run",
    "compare": "fieldmark.workflow",
    "demo": "fieldmark.workflow",
    "evaluate": "fieldmark.workflow",
    "explain": "fieldmark.workflow",
    "explore": "fieldmark.workflow",
    "fetch": "fieldmark.workflow",
    "load": "fieldmark.run",
    "predict": "fieldmark.workflow",
    "summary": "fieldmark.workflow",
    "train": "fieldmark.workflow",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for, so that `fieldmark --help` stays quick."""
    if name not in _HOMES:
        raise AttributeError(f"module 'fieldmark' has no attribute '{name}'")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
