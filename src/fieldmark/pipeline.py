"""Training from the photos to the report, each thing saved as it is made.

In: a plan, a folder of photos and an open run folder. Out: everything in the run folder.
Not covered: what each stage does (`collect`, `stages`, `auditing`, `what_if`, `records`).
"""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from fieldmark import attending, auditing, more_photos, records, stages, what_if
from fieldmark.audit.findings import write_findings
from fieldmark.base.files import write_json
from fieldmark.base.progress import Progress
from fieldmark.base.run_record import RunRecord
from fieldmark.bundling import write_bundle
from fieldmark.collect import Collected, Gathered, Given, divide, require_one_dataset
from fieldmark.data.catalog import write_catalog
from fieldmark.data.split_table import TEST, TRAIN
from fieldmark.data.splits import write_splits
from fieldmark.data.trainable import require_trainable
from fieldmark.evaluation.comparisons import write_comparisons
from fieldmark.evaluation.evaluation import evaluate
from fieldmark.evaluation.learning_curve_document import write_learning_curve
from fieldmark.evaluation.predictions import write_predictions
from fieldmark.models.classifier import Classifier
from fieldmark.orienting import Oriented, orient
from fieldmark.photo_source import PhotoSource
from fieldmark.planning import Plan
from fieldmark.report.attention_document import write_attention
from fieldmark.report.card import write_card
from fieldmark.report.content import read_content
from fieldmark.report.render import write_report
from fieldmark.resuming import check_photos
from fieldmark.stages import Decided, Embedded
from fieldmark.training.checkpoint import Checkpoints
from fieldmark.training.config import FROZEN
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
    source: PhotoSource | None = None,
) -> None:
    """Go from the photos to the report.

    A run that is `resumed` goes the same way again, which gives the same, and trains on from its
    last checkpoint. Runs that share a `source` read the photos once.

    Raises:
        FieldmarkError: for everything that the user can put right.
    """
    source = source or PhotoSource()
    steps = _Steps(given=given, record=record, progress=progress, resumed=resumed, source=source)
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
    decided = steps.evaluate(outcome, collected, embedded, plan=plan)
    classifier = replace(classifier, decision=decided.decision, familiar=decided.familiar)
    steps.look_ahead(outcome, collected, embedded, plan=plan)
    with record.stage("bundle"):
        write_bundle(record.folder, classifier, collected)
    steps.attend(classifier, collected, plan=plan)
    steps.report()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Steps:
    """The steps of one run that take more than a line."""

    given: Given
    record: RunRecord
    progress: Progress
    resumed: bool
    source: PhotoSource

    def collect(self, root: Path, *, plan: Plan) -> Collected:
        """Gather the photos, refuse those that cannot be learned from, and divide them."""
        folder = self.record.folder
        with self.record.stage("catalog"):
            gathered = self.source.gather(
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
                turn=self.source.turn_back,
            )
            if oriented.told:
                self.progress.note(oriented.told)
            if oriented.num_ignored:
                collected = self._divide(oriented.gathered, plan=oriented.plan)
            else:
                self.source.turn_upright()
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
    ) -> Decided:
        """Save the predictions, the numbers on the test photos, and what they are compared with.

        Return how the classifier decides, fitted on the validation photos.
        """
        folder = self.record.folder
        with self.record.stage("evaluation"):
            classes = collected.catalog.classes
            predictions = records.predictions_of(outcome, collected, classes=classes)
            decided = stages.decide(predictions, outcome, collected, embedded, plan=plan)
            write_predictions(folder.predictions_csv, decided.predictions)
            evaluation = evaluate(
                decided.predictions.of_split(TEST),
                groups=collected.splits.groups(),
                decision=decided.decision,
            )
            write_json(folder.evaluation_json, evaluation.to_json())
        with self.record.stage("comparisons"):
            comparisons = what_if.compare(
                collected,
                embedded,
                decided.predictions,
                config=plan.recipe.split,
                given=self.given,
                l2=outcome.probe.chosen.l2 if outcome.probe else None,
            )
            write_comparisons(folder.path, comparisons)
        return decided

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
                is_probe=plan.recipe.train.strategy in FROZEN,
            )
            if curve is not None:
                write_learning_curve(self.record.folder.path, curve)

    def attend(self, classifier: Classifier, collected: Collected, *, plan: Plan) -> None:
        """Save what the network looks at on some of its test photos."""
        with self.record.stage("attention"):
            attention = attending.attend(
                classifier,
                collected,
                folder=self.record.folder,
                device=plan.device,
                progress=self.progress,
            )
            write_attention(self.record.folder.path, attention)

    def report(self) -> None:
        """Close the record, which the report quotes, and write the page."""
        folder = self.record.folder
        with self.record.stage("report"):
            self.progress.start("Report", total=1, unit="page")
            self.record.status = "finished"
            self.record.save()
            content = read_content(folder.path)
            write_card(folder.path, content=content)
            write_report(folder.path, content=content)
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
