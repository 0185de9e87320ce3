"""Training from the photos to the report, each thing saved as it is made.

In: a plan, a folder of photos and an open run folder. Out: everything in the run folder.
Not covered: what each stage does (`collect`, `stages`, `auditing`, `what_if`, `records`).
"""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from fieldmark import auditing, more_photos, records, stages, what_if
from fieldmark.audit.findings import write_findings
from fieldmark.base.files import write_json
from fieldmark.base.progress import Progress
from fieldmark.base.run_record import RunRecord
from fieldmark.collect import Collected, Gathered, Given, divide, gather, require_one_dataset
from fieldmark.data.catalog import write_catalog
from fieldmark.data.split_table import TEST, TRAIN
from fieldmark.data.splits import write_splits
from fieldmark.data.trainable import require_trainable
from fieldmark.evaluation.comparisons import write_comparisons
from fieldmark.evaluation.decision import DecisionRule, fit_decision
from fieldmark.evaluation.evaluation import evaluate
from fieldmark.evaluation.learning_curve_document import write_learning_curve
from fieldmark.evaluation.predictions import write_predictions
from fieldmark.models.bundle import save_bundle
from fieldmark.models.classifier import Classifier
from fieldmark.orienting import Oriented, orient
from fieldmark.planning import Plan
from fieldmark.report.card import write_card
from fieldmark.report.render import write_report
from fieldmark.resuming import check_photos
from fieldmark.stages import Embedded
from fieldmark.training.checkpoint import Checkpoints
from fieldmark.training.strategies import Outcome
from fieldmark.watching import end_live, watching


def train(
    root: Path,
    *,
    plan: Plan,
    given: Given,
    record: RunRecord,
    progress: Progress,
    resumed: bool = False,
) -> None:
    """Go from the photos to the report.

    A run that is `resumed` goes the same way again, which gives the same, and trains on from its
    last checkpoint.

    Raises:
        FieldmarkError: for everything that the user can put right.
    """
    steps = _Steps(given=given, record=record, progress=progress, resumed=resumed)
    collected = steps.collect(root, plan=plan)
    with record.stage("model"):
        classes = collected.catalog.classes
        before = record.values.get("device", {}).get("precision") if resumed else None
        classifier, plan = stages.build(plan, classes=classes, settled_before=before)
        records.write_layers(record.folder.layers_csv, classifier)
    collected, oriented = steps.orient(classifier, collected, plan=plan)
    classifier, plan = oriented.classifier, oriented.plan
    records.describe(record, plan=plan, collected=collected, progress=progress)
    embedded = steps.audit(collected, oriented)
    outcome = steps.train(classifier, collected, embedded, plan=plan)
    decision = steps.evaluate(outcome, collected, embedded, plan=plan)
    classifier = replace(classifier, decision=decision)
    steps.look_ahead(outcome, collected, embedded, plan=plan)
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
    resumed: bool

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
            if self.resumed:
                check_photos(folder, gathered.catalog)
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

    def train(
        self, classifier: Classifier, collected: Collected, embedded: Embedded | None, *, plan: Plan
    ) -> Outcome:
        """Learn from the photos, or go on with it; write down how it went."""
        folder = self.record.folder
        tensorboard = plan.recipe.train.tensorboard
        with (
            self.record.stage("training"),
            watching(self.record, progress=self.progress, tensorboard=tensorboard) as watch,
        ):
            outcome = stages.learn(
                classifier,
                collected,
                embedded,
                plan=plan,
                progress=self.progress,
                checkpoints=Checkpoints(folder.checkpoints_dir),
                watch=watch,
            )
            records.write_course(outcome, folder)
            batch_size = plan.recipe.train.batch_size
            records.describe_training(self.record, outcome, batch_size=batch_size)
            records.write_resolved(plan, outcome, folder)
        return outcome

    def evaluate(
        self, outcome: Outcome, collected: Collected, embedded: Embedded | None, *, plan: Plan
    ) -> DecisionRule:
        """Save the predictions, the numbers on the test photos, and what they are compared with.

        Return the rule by which the classifier decides, fitted on the validation photos.
        """
        folder = self.record.folder
        with self.record.stage("evaluation"):
            classes = collected.catalog.classes
            predictions = records.predictions_of(outcome, collected, classes=classes)
            groups = collected.splits.groups()
            decision = fit_decision(predictions, config=plan.recipe.abstain, groups=groups)
            predictions = replace(predictions, temperature=decision.temperature)
            write_predictions(folder.predictions_csv, predictions)
            evaluation = evaluate(predictions.of_split(TEST), groups=groups, decision=decision)
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
        return decision

    def look_ahead(
        self, outcome: Outcome, collected: Collected, embedded: Embedded | None, *, plan: Plan
    ) -> None:
        """Save what more photos would bring, where that can be measured."""
        with self.record.stage("learning curve"):
            curve = more_photos.measure(
                collected,
                embedded,
                l2=outcome.probe.chosen.l2 if outcome.probe else what_if.DEFAULT_L2,
                seed=plan.recipe.split.seed,
                is_probe=plan.recipe.train.strategy == "probe",
            )
            if curve is not None:
                write_learning_curve(self.record.folder.path, curve)

    def report(self) -> None:
        """Close the record, which the report quotes, and write the page."""
        folder = self.record.folder
        with self.record.stage("report"):
            self.progress.start("Report", total=1, unit="page")
            self.record.status = "finished"
            self.record.save()
            write_card(folder.path)
            write_report(folder.path)
            end_live(folder)
            # Nothing is left to go on with, and they are larger than all the rest.
            shutil.rmtree(folder.checkpoints_dir, ignore_errors=True)
            self.progress.advance()
            self.progress.finish(str(folder.report_html))

    def _divide(self, gathered: Gathered, *, plan: Plan) -> Collected:
        collected = divide(gathered, plan.recipe.split, given=self.given)
        write_catalog(self.record.folder.catalog_csv, collected.catalog)
        write_splits(self.record.folder.splits_csv, collected.splits)
        return collected
