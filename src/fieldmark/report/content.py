"""Turns the folder of a finished run into what the report says.

In: the run folder alone, so that a report can be rebuilt at any time.
Out: `ReportContent`, plain typed data.
Not covered: thumbnails (`thumbnails`), figures (`figures`), wording and layout (`render`).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fieldmark.audit.findings import Audit, read_findings
from fieldmark.base.run_folder import RunFolder, read_run_json
from fieldmark.data.catalog import Catalog, CatalogRow, read_catalog
from fieldmark.evaluation.comparisons import Comparisons, read_comparisons
from fieldmark.evaluation.degradation_document import read_degradation
from fieldmark.evaluation.evaluation import Evaluation
from fieldmark.evaluation.intervals import Estimate
from fieldmark.evaluation.learning_curve_document import read_learning_curve
from fieldmark.evaluation.predictions import read_predictions
from fieldmark.report.answers import Answer, answers_of, least_sure
from fieldmark.report.attention import AttentionContent, attention_content
from fieldmark.report.attention_document import read_attention
from fieldmark.report.cells import CellPhotos, cells_of
from fieldmark.report.class_sections import ClassSection, class_sections
from fieldmark.report.confidence import ConfidenceContent, confidence_content
from fieldmark.report.degradation import DegradationContent, degradation_content
from fieldmark.report.entries import (
    Block,
    ClassScore,
    FileNote,
    Layer,
    Learning,
    Mistake,
    MixUp,
    Photos,
    RunFacts,
    Score,
    Setting,
)
from fieldmark.report.findings import FindingsContent, findings_content
from fieldmark.report.impact import StudyLink, studies_beside
from fieldmark.report.learning import read_learning
from fieldmark.report.matrix import Matrix, confusion_rows
from fieldmark.report.mistakes import (
    ConfusedPair,
    find_mistakes,
    find_mix_ups,
    most_confused,
)
from fieldmark.report.more_photos import MorePhotos, more_photos_content
from fieldmark.report.network import group_layers, read_layers
from fieldmark.report.optimizer import OptimizerSetting, optimizer_settings
from fieldmark.report.photos import class_counts, samples_of
from fieldmark.report.preprocessing import PreprocessContent, preprocess_content
from fieldmark.report.run_files import (
    read_json,
    read_table,
    read_toml,
)
from fieldmark.report.scores import class_scores, scores
from fieldmark.report.shortcuts import ShortcutContent, shortcut_content
from fieldmark.report.transfer import Transfer, transfer_content
from fieldmark.report.unfamiliar import UnfamiliarContent, unfamiliar_content

MAX_MISTAKES = 24
"""As many as are looked at with care; a multiple of 2, 3 and 4, so that rows come out full."""

SHORTCUTS = "FM601"
"""The finding whose evidence has a section of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportContent:
    """Everything that the page shows."""

    title: str
    run: RunFacts
    num_test: int
    classes: tuple[str, ...]
    accuracy: Estimate
    confidence: ConfidenceContent
    unfamiliar: UnfamiliarContent | None
    """The score for photos unlike those of training; None where the run has none."""
    scores: tuple[Score, ...]
    class_scores: tuple[ClassScore, ...]
    class_sections: tuple[ClassSection, ...]
    matrix: Matrix
    """Counts of test photos: rows are true classes, columns predicted ones."""
    cells: tuple[CellPhotos, ...]
    """The photos behind the cells of the matrix that are not empty."""
    mix_ups: tuple[MixUp, ...]
    confused: ConfusedPair | None
    """The two classes most often mixed up; None where every test photo was named right."""
    photos: Photos
    preprocessing: PreprocessContent
    settings: tuple[Setting, ...]
    turn_upright: bool
    """Whether the run turned photos as their metadata says, so that thumbnails do the same."""
    layers: tuple[Layer, ...]
    blocks: tuple[Block, ...]
    transfer: Transfer | None
    optimizer: tuple[OptimizerSetting, ...]
    learning: Learning
    mistakes: tuple[Mistake, ...]
    num_mistakes: int
    least_sure: tuple[Answer, ...]
    """The photos named right with the least confidence."""
    attention: AttentionContent | None
    """What the network looks at; None where the run has not looked."""
    findings: FindingsContent | None
    """What the audit of the photos found; None where the run made none."""
    shortcuts: ShortcutContent | None
    """How far cues go that are not the subject; None where that was not measured."""
    comparisons: Comparisons
    bundle: Mapping[str, str]
    """The SHA-256 of each file of the bundle, by its name; empty where there is none."""
    more_photos: MorePhotos | None
    """Would more photos help? None where that was not measured."""
    impact: tuple[StudyLink, ...]
    """Studies of what the settings do, of the same photos."""
    degradation: DegradationContent | None
    """What damage to photos does; None where that was not measured."""


def read_content(run: Path) -> ReportContent:
    """Read everything that the report shows.

    Raises:
        RunError: The folder holds no finished run, or a file in it is malformed or too new.
        EvaluationError: The evaluation or the predictions are malformed.
    """
    folder = RunFolder(run)
    record = read_run_json(folder)
    facts = _run_facts(record)
    evaluation = Evaluation.from_json(read_json(folder.evaluation_json))
    predictions = read_predictions(
        folder.predictions_csv, temperature=evaluation.calibration.temperature
    ).of_split(evaluation.split)
    catalog = read_catalog(folder.catalog_csv, root=Path(facts.photos))
    splits = read_table(folder.splits_csv, columns=("path", "label", "split", "group"))
    sides = {row["path"]: row["split"] for row in splits}
    audit = read_findings(folder.findings_json)
    resolved = read_toml(folder.resolved_toml)
    layers = read_layers(folder.layers_csv)
    learning = read_learning(folder, facts=record)
    digests = {row.path: row.sha256 for row in catalog.usable}
    mistakes = find_mistakes(predictions, digests=digests)
    groups = {row["path"]: row["group"] for row in splits}
    answers = answers_of(predictions, digests=digests, groups=groups)
    matrix = confusion_rows(evaluation.confusion, classes=evaluation.classes)
    by_class = class_scores(evaluation)
    mix_ups = find_mix_ups(evaluation)
    photos = _photos(catalog, splits=splits)
    return ReportContent(
        title=Path(facts.photos or run).name,
        run=facts,
        num_test=evaluation.num_images,
        classes=evaluation.classes,
        accuracy=evaluation.accuracy,
        confidence=confidence_content(evaluation),
        unfamiliar=unfamiliar_content(
            evaluation, predictions, answers, is_frozen=learning.is_frozen
        ),
        scores=scores(evaluation),
        class_scores=by_class,
        class_sections=class_sections(by_class, answers),
        matrix=matrix,
        cells=cells_of(answers, classes=evaluation.classes, shown=matrix.names),
        mix_ups=mix_ups,
        confused=most_confused(mix_ups, num_mistakes=len(mistakes), confusion=_by_name(evaluation)),
        photos=photos,
        preprocessing=preprocess_content(folder, resolved=resolved, samples=photos.samples),
        settings=list_settings(resolved),
        turn_upright=resolved.get("data", {}).get("orientation") != "stored",
        layers=layers,
        blocks=group_layers(layers),
        transfer=transfer_content(resolved, facts=record, layers=layers),
        optimizer=optimizer_settings(resolved, lr=learning.lr),
        learning=learning,
        mistakes=mistakes[:MAX_MISTAKES],
        num_mistakes=len(mistakes),
        least_sure=least_sure(answers),
        attention=attention_content(
            read_attention(run), shortcuts=audit.shortcuts if audit else None
        ),
        findings=_findings(audit, rows=catalog.rows, sides=sides) if audit else None,
        shortcuts=(
            shortcut_content(audit.shortcuts, classifier=evaluation.accuracy) if audit else None
        ),
        comparisons=read_comparisons(run),
        bundle=_digests(folder.model_dir / "MANIFEST.json"),
        more_photos=more_photos_content(
            read_learning_curve(run), is_probe=record.get("strategy") == "probe"
        ),
        impact=studies_beside(run, data_digest=facts.data_digest),
        degradation=degradation_content(read_degradation(run)),
    )


def _by_name(evaluation: Evaluation) -> dict[str, dict[str, int]]:
    return {
        true: dict(zip(evaluation.classes, row, strict=True))
        for true, row in zip(evaluation.classes, evaluation.confusion, strict=True)
    }


def _findings(
    audit: Audit, *, rows: Sequence[CatalogRow], sides: Mapping[str, str]
) -> FindingsContent:
    elsewhere = {SHORTCUTS: "shortcuts"} if audit.shortcuts else {}
    return findings_content(audit, rows=rows, sides=sides, elsewhere=elsewhere)


def list_settings(resolved: Mapping[str, Any]) -> tuple[Setting, ...]:
    """Return the resolved recipe row by row, each value with its reason where it was derived."""
    reasons = resolved.get("reasons", {})
    return tuple(
        Setting(section=section, key=key, value=value, reason=reasons.get(f"{section}.{key}"))
        for section, values in resolved.items()
        if section != "reasons" and isinstance(values, dict)
        for key, value in values.items()
    )


def _digests(manifest: Path) -> dict[str, str]:
    if not manifest.is_file():
        return {}
    sums = read_json(manifest).get("sha256")
    return (
        {str(name): str(digest) for name, digest in sums.items()} if isinstance(sums, dict) else {}
    )


def _run_facts(facts: Mapping[str, Any]) -> RunFacts:
    """Take what there is: a run that was cut short has written less."""
    return RunFacts(
        fieldmark_version=str(facts.get("fieldmark_version") or ""),
        command=str(facts.get("command") or ""),
        photos=str(facts.get("photos") or ""),
        status=str(facts.get("status") or ""),
        error=facts.get("error"),
        started=facts.get("started"),
        resumed=tuple(map(str, facts.get("resumed") or ())),
        ended=facts.get("ended"),
        seconds=facts.get("seconds"),
        stages=tuple((stage["name"], stage["seconds"]) for stage in facts.get("stages") or ()),
        versions=facts.get("versions") or {},
        seeds=facts.get("seeds") or {},
        data_digest=str(facts.get("data_digest") or ""),
        device=facts.get("device") or {},
        recipe=str(facts.get("recipe") or ""),
        warnings=tuple(facts.get("warnings") or ()),
        peak_memory_mib=facts.get("peak_memory_mib"),
    )


def _photos(catalog: Catalog, *, splits: Sequence[Mapping[str, str]]) -> Photos:
    groups = Counter(row["group"] for row in splits if row["group"])
    return Photos(
        num_met=len(catalog.rows),
        num_used=len(catalog.usable),
        repaired=_notes(catalog, status="repaired"),
        excluded=_notes(catalog, status="excluded"),
        counts=class_counts((row["label"], row["split"]) for row in splits),
        num_groups=len(groups),
        num_grouped=sum(times for times in groups.values() if times > 1),
        samples=samples_of(catalog),
    )


def _notes(catalog: Catalog, *, status: str) -> tuple[FileNote, ...]:
    return tuple(
        FileNote(path=row.path, reason=row.reason) for row in catalog.rows if row.status == status
    )
