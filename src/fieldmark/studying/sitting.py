"""A study while a process runs it: photos, trials, the best recipe, and being stopped.

In: what is asked, and a folder whose lock is held. Out: the folder, filled; at any moment it can be
gone on with, and read.
Not covered: whether there is anything to do (`study`), the loop of trials (`loop`), what
is written of them (`results`).
"""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from fieldmark import starting
from fieldmark._version import __version__
from fieldmark.base.counting import counted
from fieldmark.base.errors import DataError, FieldmarkError, SplitError
from fieldmark.base.files import write_text
from fieldmark.base.progress import Progress
from fieldmark.base.run_folder import RunFolder, has_finished
from fieldmark.base.run_record import versions
from fieldmark.base.stopping import Stopped
from fieldmark.collect import Given
from fieldmark.recipe import recipe_tables, recipe_toml
from fieldmark.report.study import write_study_page
from fieldmark.resuming import digests
from fieldmark.studies.optuna_storage import forget_storages, without_password
from fieldmark.studies.plan import Asked, StudyPlan
from fieldmark.studies.record import StudyFolder, StudyRecord, write_record
from fieldmark.studies.store import SqliteTrials, read_trials
from fieldmark.studies.trials import SETTLED
from fieldmark.studying.estimate import example_trials, expected_words, seconds_expected
from fieldmark.studying.folders import resume_command
from fieldmark.studying.loop import run_trials
from fieldmark.studying.photos import Need, needs_of, prepare
from fieldmark.studying.results import nothing_finished, write_results
from fieldmark.studying.sources import engine_of, source_of, storage_of, verdict_of
from fieldmark.studying.trials import Bench, forget_materials


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyAsking:
    """What is asked of a study, beside what is varied."""

    photos: Path
    """The folder, as it was named."""
    root: Path
    """The same, in full."""
    asked: Asked
    given: Given
    out: Path | None
    resume: bool
    engine: str
    """"local" or "ray"."""
    address: str | None
    """Of a Ray cluster; None: this machine."""
    storage: str | None
    """Of a search, a URL that Optuna knows; None: a file in the study's folder."""
    final: bool | None
    """Whether the best recipe is trained in full at the end; None: as the study was begun, which is
    to do so unless it was said otherwise."""
    command: str


@dataclass(slots=True, kw_only=True)
class Sitting:
    """A study while this process runs it."""

    asking: StudyAsking
    folder: StudyFolder
    plan: StudyPlan
    given: Given
    progress: Progress
    record: StudyRecord | None
    _began_s: float = field(default_factory=time.monotonic)

    def run(self) -> None:
        """Go from the photos to the page."""
        _forget()
        for line in self.plan.told():
            self.progress.note(line)
        needs = needs_of(self.plan.recipes)
        with self._told_how_to_go_on():
            with self._taken_back_if_refused():
                self._open()
                self._prepare(needs)
            with SqliteTrials(self.folder.trials_sqlite) as store:
                store.take_over()
                self._run_trials(store)
            self._conclude()

    def _open(self) -> None:
        """Write down what the study is, before anything slow."""
        if self.record is None:
            self._save(_new_record(self.asking, self.plan, self.given))
            write_text(self.folder.recipe_toml, recipe_toml(self.plan.basis.recipe))
        else:
            asked, record = self.asking, self.record
            wants_final = record.wants_final if asked.final is None else asked.final
            again = replace(record, status="running", ended=None, photos=str(asked.root))
            self._save(replace(again, wants_final=wants_final))

    def _prepare(self, needs: tuple[Need, ...]) -> None:
        """Read the photos, and write down which they are."""
        record = self._saved()
        photos = prepare(
            self.asking.root,
            self.folder,
            needs=needs,
            given=self.given,
            expected_digest=record.data_digest or None,
            progress=self.progress,
        )
        for note in photos.notes:
            self.progress.note(note)
        self._save(
            replace(
                record,
                data_digest=photos.data_digest,
                classes=photos.classes,
                split_counts=photos.counts,
                notes=photos.notes,
            )
        )

    @contextmanager
    def _taken_back_if_refused(self) -> Iterator[None]:
        """Leave nothing of a new study whose photos cannot be used."""
        is_new = self.record is None
        try:
            yield
        except (DataError, SplitError):
            if is_new:
                self.record = None
                for path in (self.folder.study_json, self.folder.recipe_toml):
                    path.unlink(missing_ok=True)
            raise

    def _run_trials(self, store: SqliteTrials) -> None:
        plan, asking = self.plan, self.asking
        storage = storage_of(asking.storage, folder=self.folder, plan=plan, record=self._saved())
        source = source_of(store, plan=plan, storage=storage)
        bench = Bench(
            work=self.folder.work.resolve(),
            basis=plan.basis,
            is_bootstrapped=plan.replicates == "bootstrap",
            verdict=verdict_of(folder=self.folder, plan=plan, storage=storage),
        )
        self._tell_time(store, bench)
        run_trials(
            source,
            store=store,
            engine=engine_of(asking.engine, address=asking.address),
            bench=bench,
            num_trials=plan.num_trials,
            keep=self._keep,
            progress=self.progress,
        )

    def _tell_time(self, store: SqliteTrials, bench: Bench) -> None:
        """Say about how long the trials take that are left."""
        trials = store.all()
        num_done = sum(trial.status in SETTLED for trial in trials)
        waiting = [trial for trial in trials if trial.status not in SETTLED]
        if num_done:
            of_all = counted(self.plan.num_trials, "trial")
            self.progress.note(f"Done before: {num_done:,} of {of_all}.")
        if self.plan.design == "search":
            waiting = example_trials(self.plan)[num_done:]
        if not waiting:
            return
        self.progress.start("Estimate", total=None, unit="steps")
        expected = seconds_expected(waiting, bench)
        self.progress.finish(expected_words(expected, waiting, self.plan))

    def _keep(self) -> None:
        """Write the tables and the page from what there is."""
        self._save(write_results(self.folder, plan=self.plan, record=self._saved()))

    def _conclude(self) -> None:
        """Train the best recipe, evaluate it once on the test photos, and write the page."""
        self._keep()
        record = self._saved()
        if record.best is None:
            raise nothing_finished(self.folder)
        if record.wants_final:
            self._train_best()
            record = replace(self._saved(), final=self.folder.best.name)
        self._save(replace(record, status="finished", ended=_now()))
        self.progress.start("Page", total=1, unit="page")
        write_study_page(self.folder.path)
        self.progress.advance()
        self.progress.finish(str(self.folder.study_html))
        shutil.rmtree(self.folder.work, ignore_errors=True)
        _forget()

    def _train_best(self) -> None:
        run = RunFolder(self.folder.best)
        if run.run_json.is_file() and has_finished(run):
            return
        self.progress.note(
            "The best recipe is trained as 'fieldmark train' would, and evaluated on the test "
            "photos, which nothing has looked at so far."
        )
        asking = starting.Asking(
            photos=self.asking.photos,
            root=self.asking.root,
            recipe=str(self.folder.best_toml),
            flags={"backbone": None, "weights": None, "group_by": None},
            ignore=(),
            overrides=(),
            given=self.given,
            out=run.path,
            command=self._saved().command,
            way_on=self._way_on(),
        )
        begin = starting.go_on if run.path.is_dir() else starting.begin
        begin(asking, progress=self.progress)

    @contextmanager
    def _told_how_to_go_on(self) -> Iterator[None]:
        """Leave what there is readable, however the study ends, and say how to go on."""
        command = self._way_on()
        try:
            yield
        except KeyboardInterrupt as error:
            self._leave("interrupted")
            how = str(error).partition(";")[0] or "interrupted from the keyboard"
            raise Stopped(f"{how}; {self._done()}. Go on with: {command}") from error
        except BaseException:
            self._leave("failed")
            raise

    def _way_on(self) -> str:
        """Return the command line that goes on with this study."""
        asking = self.asking
        return resume_command(
            asking.photos, self.folder, engine=asking.engine, address=asking.address
        )

    def _leave(self, status: Literal["interrupted", "failed"]) -> None:
        if self.record is None:
            return
        self._save(replace(self.record, status=status, ended=_now()))
        # Whatever is wrong with the page, why the study ended is what counts.
        with suppress(OSError, FieldmarkError):
            if self.folder.trials_sqlite.exists():
                self._keep()

    def _done(self) -> str:
        trials = read_trials(self.folder.trials_sqlite)
        if not trials:
            return "no trial had begun"
        done = sum(trial.status in SETTLED for trial in trials)
        return f"{done:,} of {counted(self.plan.num_trials, 'trial')} done and kept"

    def _saved(self) -> StudyRecord:
        assert self.record is not None
        return self.record

    def _save(self, record: StudyRecord) -> None:
        """Write the record, with the time spent up to now."""
        now_s = time.monotonic()
        self.record = replace(record, seconds=round(record.seconds + now_s - self._began_s, 2))
        self._began_s = now_s
        write_record(self.folder, self.record)


def _new_record(asking: StudyAsking, plan: StudyPlan, given: Given) -> StudyRecord:
    """Return the record of a study of whose photos nothing is known yet."""
    recipe = plan.basis.recipe
    return StudyRecord(
        command=asking.command,
        photos=str(asking.root),
        split_file=str(given.split_file.resolve()) if given.split_file else None,
        labels=str(given.labels.resolve()) if given.labels else None,
        sha256=digests(recipe, given, weights=None),
        data_digest="",
        classes=(),
        split_counts={},
        recipe_name=recipe.name,
        recipe_reason=plan.basis.reason,
        recipe=recipe_tables(recipe),
        factors=plan.factors,
        ranges=plan.ranges,
        design=plan.design,
        num_settings=plan.num_settings,
        num_possible=plan.num_possible,
        seeds=plan.seeds,
        replicates=plan.replicates,
        halving=plan.halving,
        planned={str(kind): number for kind, number in plan.planned.items()},
        engine=asking.engine,
        wants_final=asking.final is not False,
        storage=without_password(asking.storage) if asking.storage else None,
        preset=plan.preset,
        started=_now(),
        versions={"fieldmark": __version__, **versions()},
    )


def _forget() -> None:
    """Drop what this process keeps of a study by its path, where another may lie by now."""
    forget_materials()
    forget_storages()


def _now() -> str:
    return datetime.now(UTC).isoformat()
