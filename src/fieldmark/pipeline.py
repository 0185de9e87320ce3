"""Training from the photos to the report, each thing saved as it is made.

In: a plan, a folder of photos and an open run folder. Out: everything in the run folder.
Not covered: what each stage does (`collect`, `stages`, `auditing`, `what_if`, `records`).
"""

from dataclasses import dataclass
from pathlib import Path

from fieldmark import auditing, records, stages, what_if
from fieldmark.audit.findings import write_findings
from fieldmark.base.files import write_json, write_text
from fieldmark.base.progress import Progress
from fieldmark.base.run_folder import RunRecord
from fieldmark.collect import Collected, Gathered, Given, divide, gather, require_one_dataset
from fieldmark.data.catalog import write_catalog
from fieldmark.data.split_table import TEST, TRAIN
from fieldmark.data.splits import write_splits
from fieldmark.data.trainable import require_trainable
from fieldmark.evaluation.comparisons import write_comparisons
from fieldmark.evaluation.evaluation import evaluate
from fieldmark.evaluation.predictions import write_predictions
from fieldmark.models.bundle import save_bundle
from fieldmark.models.classifier import Classifier
from fieldmark.orienting import Oriented, orient
from fieldmark.planning import Plan
from fieldmark.recipe import Recipe, recipe_toml
from fieldmark.report.render import write_report
from fieldmark.stages import Embedded
from fieldmark.training.strategies import Outcome


def train(
    root: Path,
    *,
    plan: Plan,
    asked: Recipe,
    given: Given,
    record: RunRecord,
    progress: Progress,
) -> None:
    """Go from the photos to the report.

    Raises:
        FieldmarkError: for everything that the user can put right.
    """
    write_text(record.folder.recipe_toml, recipe_toml(asked))
    steps = _Steps(given=given, record=record, progress=progress)
    collected = steps.collect(root, plan=plan)
    with record.stage("model"):
        classifier, plan = stages.build(plan, classes=collected.catalog.classes)
        records.write_layers(record.folder.layers_csv, classifier)
    collected, oriented = steps.orient(classifier, collected, plan=plan)
    classifier, plan = oriented.classifier, oriented.plan
    records.describe(record, plan=plan, collected=collected, progress=progress)
    embedded = steps.audit(collected, oriented)
    with record.stage("training"):
        outcome = stages.learn(classifier, collected, embedded, plan=plan, progress=progress)
        records.write_course(outcome, record.folder)
        records.write_resolved(plan, outcome, record.folder)
    steps.evaluate(outcome, collected, embedded, plan=plan)
    with record.stage("bundle"):
        digest = collected.catalog.digest
        save_bundle(classifier, record.folder.model_dir, data_digest=digest)
    steps.report()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Steps:
    """The steps of one run that take more than a line."""

    given: Given
    record: RunRecord
    progress: Progress

    def collect(self, root: Path, *, plan: Plan) -> Collected:
        """Gather the photos, refuse those that cannot be learned from, and divide them."""
        folder = self.record.folder
        with self.record.stage("catalog"):
            gathered = gather(
                root,
                preprocess=plan.preprocess,
                given=self.given,
                progress=self.progress,
                storage=folder.path,
            )
            write_catalog(folder.catalog_csv, gathered.catalog)
            require_trainable(gathered.catalog)
            require_one_dataset(gathered.catalog)
            return self._divide(gathered, plan=plan)

    def orient(
        self, classifier: Classifier, collected: Collected, *, plan: Plan
    ) -> tuple[Collected, Oriented]:
        """Settle how rotations are read; where that changes the photos, tell and divide anew."""
        with self.record.stage("orientation"):
            oriented = orient(
                classifier,
                collected.gathered,
                paths=collected.splits.paths(TRAIN),
                plan=plan,
                progress=self.progress,
            )
            if oriented.told:
                self.progress.note(oriented.told)
            if oriented.num_ignored:
                collected = self._divide(oriented.gathered, plan=oriented.plan)
        return collected, oriented

    def audit(self, collected: Collected, oriented: Oriented) -> Embedded | None:
        """Look for what is wrong with the photos; return the features used for it."""
        gathered, plan, folder = collected.gathered, oriented.plan, self.record.folder
        with self.record.stage("features"):
            embedded = stages.embed(
                oriented.classifier,
                gathered,
                paths=collected.store.paths,
                plan=plan,
                progress=self.progress,
            )
        with self.record.stage("audit"):
            audited = auditing.audit_photos(
                gathered,
                embedded,
                splits=collected.splits,
                split=plan.recipe.split,
                ignore=plan.recipe.audit.ignore,
                given=self.given,
                num_rotations_ignored=oriented.num_ignored,
                progress=self.progress,
            )
            write_findings(folder.findings_json, audited)
            auditing.write_labels(folder.labels_csv, audited, gathered)
        return embedded

    def evaluate(
        self, outcome: Outcome, collected: Collected, embedded: Embedded | None, *, plan: Plan
    ) -> None:
        """Save the predictions, the numbers on the test photos, and what they are compared with."""
        folder = self.record.folder
        with self.record.stage("evaluation"):
            classes = collected.catalog.classes
            predictions = records.predictions_of(outcome, collected, classes=classes)
            write_predictions(folder.predictions_csv, predictions)
            evaluation = evaluate(predictions.of_split(TEST))
            write_json(folder.evaluation_json, evaluation.to_json())
        with self.record.stage("comparisons"):
            comparisons = what_if.compare(
                collected,
                embedded,
                predictions,
                config=plan.recipe.split,
                given=self.given,
                l2=outcome.probe.chosen.l2 if outcome.probe else None,
            )
            write_comparisons(folder.path, comparisons)

    def report(self) -> None:
        """Close the record, which the report quotes, and write the page."""
        folder = self.record.folder
        with self.record.stage("report"):
            self.progress.start("Report", total=1, unit="page")
            self.record.status = "finished"
            self.record.save()
            write_report(folder.path)
            self.progress.advance()
            self.progress.finish(str(folder.report_html))

    def _divide(self, gathered: Gathered, *, plan: Plan) -> Collected:
        collected = divide(gathered, plan.recipe.split, given=self.given)
        write_catalog(self.record.folder.catalog_csv, collected.catalog)
        write_splits(self.record.folder.splits_csv, collected.splits)
        return collected
