"""Training from the photos to the report, each thing saved as it is made.

In: a plan, a folder of photos and an open run folder. Out: everything in the run folder.
Not covered: what each stage does (`collect`, `stages`, `auditing`, `what_if`, `records`).
"""

from pathlib import Path

from fieldmark import auditing, records, stages, what_if
from fieldmark.audit.findings import write_findings
from fieldmark.base.files import write_json, write_text
from fieldmark.base.progress import Progress
from fieldmark.base.run_folder import RunRecord
from fieldmark.collect import Collected, Given, divide, gather, require_one_dataset
from fieldmark.data.catalog import write_catalog
from fieldmark.data.splits import write_splits
from fieldmark.data.trainable import require_trainable
from fieldmark.evaluation.comparisons import write_comparisons
from fieldmark.evaluation.evaluation import evaluate
from fieldmark.evaluation.predictions import write_predictions
from fieldmark.models.bundle import save_bundle
from fieldmark.orienting import Oriented, orient
from fieldmark.planning import Plan
from fieldmark.recipe import Recipe, recipe_toml
from fieldmark.report.render import write_report


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
    folder = record.folder
    write_text(folder.recipe_toml, recipe_toml(asked))
    collected = _collect(root, plan=plan, given=given, record=record, progress=progress)
    classes = collected.catalog.classes
    with record.stage("model"):
        classifier, plan = stages.build(plan, classes=classes)
        records.write_layers(folder.layers_csv, classifier)
    with record.stage("orientation"):
        oriented = orient(
            classifier,
            collected.gathered,
            paths=collected.splits.paths("train"),
            plan=plan,
            progress=progress,
        )
        classifier, plan = oriented.classifier, oriented.plan
        collected = _settle(collected, oriented, given=given, record=record, progress=progress)
    records.describe(record, plan=plan, collected=collected, progress=progress)
    gathered = collected.gathered
    with record.stage("features"):
        embedded = stages.embed(
            classifier, gathered, paths=collected.store.paths, plan=plan, progress=progress
        )
    with record.stage("audit"):
        audited = auditing.audit_photos(
            gathered,
            embedded,
            split=plan.recipe.split,
            ignore=plan.recipe.audit.ignore,
            given=given,
            num_rotations_ignored=oriented.num_ignored,
            progress=progress,
        )
        write_findings(folder.findings_json, audited)
        auditing.write_labels(folder.labels_csv, audited, gathered.catalog)
    with record.stage("training"):
        outcome = stages.learn(classifier, collected, embedded, plan=plan, progress=progress)
        records.write_course(outcome, folder)
        records.write_resolved(plan, outcome, folder)
    with record.stage("evaluation"):
        predictions = records.predictions_of(outcome, collected, classes=classes)
        write_predictions(folder.predictions_csv, predictions)
        evaluation = evaluate(predictions.of_split("test"))
        write_json(folder.evaluation_json, evaluation.to_json())
    with record.stage("comparisons"):
        comparisons = what_if.compare(
            collected,
            embedded,
            predictions,
            config=plan.recipe.split,
            given=given,
            l2=outcome.probe.chosen.l2 if outcome.probe else None,
        )
        write_comparisons(folder.path, comparisons)
    with record.stage("bundle"):
        save_bundle(classifier, folder.model_dir, data_digest=collected.catalog.digest)
    with record.stage("report"):
        progress.start("Report", total=1, unit="page")
        record.status = "finished"
        record.save()
        write_report(folder.path)
        progress.advance()
        progress.finish(str(folder.report_html))


def _collect(
    root: Path, *, plan: Plan, given: Given, record: RunRecord, progress: Progress
) -> Collected:
    folder = record.folder
    with record.stage("catalog"):
        gathered = gather(
            root, preprocess=plan.preprocess, given=given, progress=progress, storage=folder.path
        )
        write_catalog(folder.catalog_csv, gathered.catalog)
        require_trainable(gathered.catalog)
        require_one_dataset(gathered.catalog)
        collected = divide(gathered, plan.recipe.split, given=given)
        _write_tables(collected, record)
    return collected


def _settle(
    collected: Collected,
    oriented: Oriented,
    *,
    given: Given,
    record: RunRecord,
    progress: Progress,
) -> Collected:
    """Say how rotations are read; where that changed the catalog, write it anew."""
    if oriented.told:
        progress.note(oriented.told)
    if not oriented.num_ignored:
        return collected
    record.warnings.append(oriented.told)
    collected = divide(oriented.gathered, oriented.plan.recipe.split, given=given)
    _write_tables(collected, record)
    return collected


def _write_tables(collected: Collected, record: RunRecord) -> None:
    write_catalog(record.folder.catalog_csv, collected.catalog)
    write_splits(record.folder.splits_csv, collected.splits)
