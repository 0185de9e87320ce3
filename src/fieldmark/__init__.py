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
    from fieldmark.degrading import Degraded
    from fieldmark.evaluation.answer import Prediction
    from fieldmark.evaluation.evaluation import Evaluation
    from fieldmark.evaluation.intervals import Estimate
    from fieldmark.evaluation.predictions import Predictions
    from fieldmark.explaining import Explanation
    from fieldmark.exploring import Exploration
    from fieldmark.exported import ExportedModel, load_exported
    from fieldmark.exporting import Export
    from fieldmark.fetching import Fetched
    from fieldmark.predicting import Predicted, predict_to
    from fieldmark.repeated_runs import Repeats
    from fieldmark.run import Run, load
    from fieldmark.studying.call import study
    from fieldmark.studying.study import Study
    from fieldmark.train_call import train
    from fieldmark.verifying import Verified
    from fieldmark.workflow import (
        degrade,
        demo,
        evaluate,
        explore,
        export,
        fetch,
        predict,
        serve,
        summary,
        verify,
    )

__all__ = [
    "Comparison",
    "Degraded",
    "Estimate",
    "Evaluation",
    "Explanation",
    "Exploration",
    "Export",
    "ExportedModel",
    "Fetched",
    "FieldmarkError",
    "Predicted",
    "Prediction",
    "Predictions",
    "Repeats",
    "Run",
    "Study",
    "Verified",
    "__version__",
    "compare",
    "degrade",
    "demo",
    "evaluate",
    "explain",
    "explore",
    "export",
    "fetch",
    "load",
    "load_exported",
    "predict",
    "predict_to",
    "serve",
    "study",
    "summary",
    "train",
    "verify",
]

_HOMES = {
    "Comparison": "fieldmark.comparing",
    "Degraded": "fieldmark.degrading",
    "Estimate": "fieldmark.evaluation.intervals",
    "Evaluation": "fieldmark.evaluation.evaluation",
    "Explanation": "fieldmark.explaining",
    "Exploration": "fieldmark.exploring",
    "Export": "fieldmark.exporting",
    "ExportedModel": "fieldmark.exported",
    "Fetched": "fieldmark.fetching",
    "Predicted": "fieldmark.predicting",
    "Prediction": "fieldmark.evaluation.answer",
    "Predictions": "fieldmark.evaluation.predictions",
    "Repeats": "fieldmark.repeated_runs",
    "Run": "fieldmark.run",
    "Study": "fieldmark.studying.study",
    "Verified": "fieldmark.verifying",
    "compare": "fieldmark.workflow",
    "degrade": "fieldmark.workflow",
    "demo": "fieldmark.workflow",
    "evaluate": "fieldmark.workflow",
    "explain": "fieldmark.workflow",
    "explore": "fieldmark.workflow",
    "export": "fieldmark.workflow",
    "fetch": "fieldmark.workflow",
    "load": "fieldmark.run",
    "load_exported": "fieldmark.exported",
    "predict": "fieldmark.workflow",
    "predict_to": "fieldmark.predicting",
    "serve": "fieldmark.workflow",
    "study": "fieldmark.workflow",
    "summary": "fieldmark.workflow",
    "train": "fieldmark.train_call",
    "verify": "fieldmark.workflow",
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
