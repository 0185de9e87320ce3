"""The page of a training that goes on: the curves so far, drawn anew after each epoch.

In: `history.csv` of the run folder. Out: `training.html` in it, which reloads itself until
training has ended. It loads nothing and runs no scripts.
Not covered: the report, which is written once at the end (`render`).
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from fieldmark._version import __version__
from fieldmark.base.files import write_text
from fieldmark.base.run_folder import RunFolder, read_run_json
from fieldmark.evaluation.evaluation import read_evaluation
from fieldmark.report import wording
from fieldmark.report.course import course_values
from fieldmark.report.entries import Epoch
from fieldmark.report.environment import render_page
from fieldmark.report.learning import read_epochs
from fieldmark.training.config import FROZEN

RELOAD_S = 10


def write_live(
    folder: RunFolder, *, num_epochs: int, finished: bool = False, stopped: str = ""
) -> None:
    """Write `training.html` from `history.csv`, which need not be there before the first epoch.

    Args:
        folder: the run folder.
        num_epochs: how many epochs are planned.
        finished: the page says so, reloads itself no more and names the report.
        stopped: why training ended without finishing, in a sentence; the page tells it and
            reloads itself no more.

    Raises:
        RunError: `history.csv` or `run.json` is malformed.
        OSError: The page cannot be written.
    """
    epochs = read_epochs(folder.history_csv)
    facts = read_run_json(folder) if finished and folder.run_json.is_file() else {}
    splits = facts.get("splits")
    evaluation = read_evaluation(folder.evaluation_json) if finished else None
    page = render_page(
        "live.html.j2",
        content={"title": folder.path.name},
        sections=(("progress", "Progress"),),
        short_titles={},
        section_folder="",
        version=__version__,
        epochs=epochs,
        num_epochs=max(num_epochs, len(epochs)),
        finished=finished,
        stopped=stopped,
        reload_s=None if finished or stopped else RELOAD_S,
        left=_time_left(epochs, num_epochs=num_epochs),
        written=datetime.now(UTC).strftime("%H:%M:%S UTC"),
        report=folder.report_html.name,
        **course_values(
            epochs,
            kept_epoch=None,
            is_over=finished,
            num_photos=splits if isinstance(splits, Mapping) else None,
            num_classes=len(evaluation.classes) if evaluation else None,
            is_frozen=facts.get("strategy") in FROZEN,
        ),
    )
    write_text(folder.live_html, page)


def _time_left(epochs: Sequence[Epoch], *, num_epochs: int) -> str:
    """Return about how long the epochs that are left take, by those of the last few."""
    recent = [epoch.seconds for epoch in epochs[-5:] if epoch.seconds > 0]
    left = num_epochs - len(epochs)
    return wording.duration(left * sum(recent) / len(recent)) if recent and left > 0 else ""
