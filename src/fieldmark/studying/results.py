"""What a study leaves: tables, numbers, the best recipe and the page, by the trials so far.

In: a study's folder, its plan and its record. Out: files, and the record with the best settings.
"""

from dataclasses import replace

from fieldmark.base.errors import RunError
from fieldmark.base.files import write_text
from fieldmark.recipe import recipe_toml
from fieldmark.report.study import write_study_page
from fieldmark.studies.analysis import analyse, write_effects
from fieldmark.studies.best import choose_best
from fieldmark.studies.plan import StudyPlan
from fieldmark.studies.record import StudyFolder, StudyRecord, write_record
from fieldmark.studies.store import read_trials
from fieldmark.studies.tables import write_curves, write_trials


def write_results(folder: StudyFolder, *, plan: StudyPlan, record: StudyRecord) -> StudyRecord:
    """Write everything that the trials show so far.

    Args:
        folder: of the study.
        plan: its plan.
        record: its record, which is written, too.

    Returns:
        The record, with the best settings.

    Raises:
        RunError: the trials cannot be read.
        OSError: a file cannot be written.
    """
    trials = read_trials(folder.trials_sqlite)
    write_trials(folder.trials_csv, trials, keys=plan.keys)
    write_curves(folder.curves_csv, trials)
    best = choose_best(trials)
    record = replace(record, best=best)
    write_record(folder, record)
    if best is not None:
        write_text(folder.best_toml, recipe_toml(plan.basis.with_settings(best.settings)))
    write_effects(folder.effects_json, analyse(trials, record))
    write_study_page(folder.path)
    return record


def nothing_finished(folder: StudyFolder) -> RunError:
    """Return what to say of a study of which no trial came to its end."""
    errors = [trial.error for trial in read_trials(folder.trials_sqlite) if trial.error]
    first = f" The first ended with: {errors[0]}" if errors else ""
    return RunError(
        f"No trial finished, so there is no best recipe.{first} All of them are in "
        f"{folder.trials_csv}. Put right what they say, and begin another study."
    )
