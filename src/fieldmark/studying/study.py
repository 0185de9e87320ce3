"""A study from the photos to the page: what recipe fields do, and the best recipe trained.

In: what is asked. Out: a `Study`, whose folder holds everything.
Not covered: how it is run (`sitting`), where (`folders`).
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from fieldmark.arguments import check_groups, lasting
from fieldmark.base.errors import RecipeError
from fieldmark.base.lock import hold
from fieldmark.base.progress import Progress
from fieldmark.collect import Given
from fieldmark.data.trainable import require_files
from fieldmark.run import Run, load
from fieldmark.studies.analysis import Analysis, analyse
from fieldmark.studies.optuna_storage import require_optuna
from fieldmark.studies.plan import Asked, StudyPlan, plan_of_record, plan_study
from fieldmark.studies.record import StudyFolder, StudyRecord, read_record
from fieldmark.studies.store import read_trials
from fieldmark.studies.trials import Trial
from fieldmark.studying.folders import place_of, require_same, require_same_files
from fieldmark.studying.sitting import Sitting, StudyAsking

NOTHING_ASKED = Asked()
ENGINES = ("local", "ray")


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """A study, as its folder tells of it."""

    path: Path
    """The folder."""
    record: StudyRecord
    """What was asked, what was planned, how it ended, and the best settings."""
    trials: tuple[Trial, ...]
    """Every trial, by number."""
    analysis: Analysis
    """What the trials show: effects with their intervals, and in words."""

    @property
    def page(self) -> Path:
        """The page, `study.html`."""
        return StudyFolder(self.path).study_html

    @property
    def best_toml(self) -> Path:
        """The best recipe, for `train(..., recipe=...)`."""
        return StudyFolder(self.path).best_toml

    @property
    def run(self) -> Run | None:
        """The run of the best recipe, evaluated on the test photos; None where there is none.

        Raises:
            RunError: it cannot be read.
        """
        return load(self.path / self.record.final) if self.record.final else None


def load_study(path: Path) -> Study:
    """Return a study, finished or not.

    Raises:
        RunError: the folder holds none, or it cannot be read.
    """
    folder = StudyFolder(path)
    record = read_record(folder)
    trials = tuple(read_trials(folder.trials_sqlite))
    return Study(path=path, record=record, trials=trials, analysis=analyse(trials, record))


def study(asking: StudyAsking, *, progress: Progress) -> Study:
    """Run a study, or go on with the one that its folder holds.

    Raises:
        FieldmarkError: for everything that the user can put right.
        Stopped: it was stopped; the message says how to go on with it.
    """
    _check(asking)
    if asking.asked.search:
        require_optuna()
    # What is asked is looked at before anything is made.
    plan = None if asking.resume and asking.asked == NOTHING_ASKED else _plan(asking.asked)
    if not asking.resume:
        require_files(asking.root)
    folder = place_of(asking.out, root=asking.root, resume=asking.resume)
    with _taken_away_if_empty(folder), hold(folder.lock):
        sitting = _sitting(asking, folder, plan=plan, progress=progress)
        if sitting.record is not None and sitting.record.status == "finished":
            progress.note(f"The study in {folder.path} has finished; nothing is left to do.")
        else:
            sitting.run()
    return load_study(folder.path)


def _check(asking: StudyAsking) -> None:
    if asking.engine not in ENGINES:
        raise RecipeError(f"--engine is '{asking.engine}'; allowed: {', '.join(ENGINES)}.")
    if asking.address is not None and asking.engine != "ray":
        raise RecipeError("--address is that of a Ray cluster. Add --engine ray, or leave it out.")
    asked = asking.asked
    if asking.resume and asked != NOTHING_ASKED and not asked.vary and asked.preset is None:
        raise RecipeError("A study is gone on with as it was begun: give --out and --resume alone.")
    if asking.storage is not None and not asking.asked.search and not asking.resume:
        raise RecipeError(
            "--storage is where a search keeps its trials for several machines; without --search "
            "they are in the study's folder. Add --search N, or leave it out."
        )


def _plan(asked: Asked) -> StudyPlan:
    plan = plan_study(asked)
    check_groups(plan.basis.recipe.split)
    recipe = lasting(plan.basis.recipe)
    return replace(plan, basis=replace(plan.basis, recipe=recipe))


def _sitting(
    asking: StudyAsking, folder: StudyFolder, *, plan: StudyPlan | None, progress: Progress
) -> Sitting:
    """Return it, with what was recorded of the study before, if anything."""
    record = read_record(folder) if folder.study_json.is_file() else None
    given = asking.given
    if record is not None:
        if plan is not None:
            require_same(record, plan, folder=folder)
        plan = plan_of_record(record)
        given = Given(
            split_file=given.split_file or _path(record.split_file),
            labels=given.labels or _path(record.labels),
        )
        # What has finished needs its files no more.
        if record.status != "finished" or asking.given != Given():
            require_same_files(record, given, recipe=plan.basis.recipe)
    assert plan is not None  # a study that is gone on with has a record
    return Sitting(
        asking=asking, folder=folder, plan=plan, given=given, progress=progress, record=record
    )


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)


@contextmanager
def _taken_away_if_empty(folder: StudyFolder) -> Iterator[None]:
    try:
        yield
    except BaseException:
        with suppress(OSError):  # something is in it
            folder.path.rmdir()
        raise
