"""A study as text for the terminal.

In: a `Study`. Out: text: what the fields did, the best recipe, and where things are.
"""

import shlex
from typing import TYPE_CHECKING

from fieldmark.base.counting import counted
from fieldmark.studies.space import text_of

if TYPE_CHECKING:
    from fieldmark.studying.study import Study


def finished_study(study: "Study") -> str:
    """Return what `fieldmark study` ends with."""
    analysis = study.analysis
    lines = [f"{_counts(study)}\n", analysis.headline]
    told = [line for line in analysis.sentences("val_accuracy") if line != analysis.headline]
    lines += told
    lines += analysis.notes("val_accuracy")
    for conclusion in analysis.conclusions:
        lines.append(
            f"\n{conclusion.claim} {conclusion.verdict.capitalize()}. {conclusion.evidence}"
        )
    return "\n".join([*lines, "", *_best(study), *_places(study)]) + "\n"


def _counts(study: "Study") -> str:
    ended = [str(trial.status) for trial in study.trials]
    parts = [counted(ended.count("finished"), "trial")]
    for status, words in (("pruned", "stopped early"), ("failed", "failed")):
        if number := ended.count(status):
            parts.append(f"{number:,} {words}")
    validation = counted(study.record.split_counts["validation"], "validation photo")
    return f"{', '.join(parts)}, judged by {validation}"


def _best(study: "Study") -> list[str]:
    best = study.record.best
    if best is None:
        return ["Best        no trial has finished"]
    settings = ", ".join(f"{key}={text_of(value)}" for key, value in best.settings.items())
    lines = [f"Best        {settings}", f"            {best.val_accuracy:.2%} on validation photos"]
    run = study.run
    if run is not None:
        accuracy = run.evaluation.accuracy
        photos = counted(run.evaluation.num_images, "test photo")
        lines.append(
            f"Test        {accuracy.value:.2%} ({accuracy.low:.2%} to {accuracy.high:.2%}) of "
            f"{photos} right, looked at once"
        )
    return lines


def _places(study: "Study") -> list[str]:
    lines = [f"Page        {study.page}", f"Recipe      {study.best_toml}"]
    if study.run is not None:
        return [*lines, f"Report      {study.run.report}"]
    record = study.record
    again = ["fieldmark", "train", record.photos, "--recipe", str(study.best_toml)]
    for flag, file in (("--split-file", record.split_file), ("--labels", record.labels)):
        again += [flag, file] if file else []
    return [*lines, f"Train it    {shlex.join(again)}"] if record.best else lines[:1]
