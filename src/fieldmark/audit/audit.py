"""The audit: every check that is not muted, on one folder.

In: a `Survey`. Out: an `Audit`. A muted check is not run at all, and one that cannot be is skipped
with the reason. Nothing is changed, neither the folder nor the survey.
Not covered: what the checks look for (`checks_*`), gathering the survey, showing the findings.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from fieldmark.audit import (
    checks_appearance,
    checks_classes,
    checks_duplicates,
    checks_files,
    checks_model,
)
from fieldmark.audit.codes import CODES, check_codes
from fieldmark.audit.findings import Audit, Finding, SuspectPhoto, in_order
from fieldmark.audit.shortcuts import ShortcutTest
from fieldmark.audit.survey import Survey
from fieldmark.base.progress import Progress
from fieldmark.evaluation.intervals import Estimate

CHECKS: Mapping[str, Callable[[Survey], Finding | None]] = {
    "FM101": checks_files.unreadable,
    "FM102": checks_files.truncated,
    "FM103": checks_files.wrong_extension,
    "FM104": checks_files.odd_mode,
    "FM105": checks_files.extreme_size,
    "FM106": checks_files.extreme_aspect,
    "FM107": checks_files.rotation_overruled,
    "FM201": checks_appearance.very_dark,
    "FM202": checks_appearance.very_bright,
    "FM203": checks_appearance.blurred,
    "FM204": checks_appearance.single_coloured,
    "FM301": checks_duplicates.copies_within,
    "FM302": checks_duplicates.copies_under_two_labels,
    "FM303": checks_duplicates.near_within,
    "FM304": checks_duplicates.near_under_two_labels,
    "FM305": checks_duplicates.across_the_split,
    "FM306": checks_duplicates.contained_twice,
    "FM401": checks_classes.imbalance,
    "FM402": checks_classes.too_small,
}
"""The checks that need nothing but the survey."""
LABELS, OUTLIERS, SHORTCUTS = "FM501", "FM502", "FM601"
"""The checks that fit models."""

NO_FEATURES = "It needs features of a pretrained network, and there are none."
ONE_CLASS = "It needs photos of at least two classes."


def audit(
    survey: Survey, *, ignore: Collection[str] = (), seed: int = 0, progress: Progress
) -> Audit:
    """Run the checks.

    Args:
        survey: of the folder.
        ignore: codes of the checks to leave out, in any case.
        seed: of folds and small models.
        progress: told of each check.

    Raises:
        RecipeError: `ignore` holds a code that does not exist.
    """
    muted = check_codes(ignore)
    run = _Run(survey=survey, seed=seed)
    asked = [code for code in CODES if code not in muted]
    progress.start("Audit", total=len(asked), unit="checks")
    for code in asked:
        run.check(code)
        progress.advance(detail=CODES[code].title)
    progress.finish(_summary(run.findings))
    return Audit(
        num_photos=len(survey.catalog.usable),
        num_classes=len(survey.catalog.classes),
        data_digest=survey.catalog.digest,
        groups=survey.group_facts(),
        findings=in_order(run.findings),
        muted=muted,
        skipped=run.skipped,
        suspects=run.suspects,
        classifier=run.classifier,
        shortcuts=run.shortcuts,
    )


@dataclass(slots=True, kw_only=True)
class _Run:
    """What has come of an audit so far."""

    survey: Survey
    seed: int
    findings: list[Finding] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    suspects: tuple[SuspectPhoto, ...] = ()
    classifier: Estimate | None = None
    shortcuts: ShortcutTest | None = None

    def check(self, code: str) -> None:
        """Run one check, in the order of codes: shortcuts are told beside the classifier."""
        if code in CHECKS:
            found = CHECKS[code](self.survey)
        elif reason := self._obstacle(code):
            self.skipped[code] = reason
            return
        else:
            found = self._model(code)
        if found is not None:
            self.findings.append(found)

    def _obstacle(self, code: str) -> str:
        """Return why a check that fits models cannot be run, or nothing."""
        if len(self.survey.catalog.classes) < 2:
            return ONE_CLASS
        return NO_FEATURES if code != SHORTCUTS and self.survey.features_NF is None else ""

    def _model(self, code: str) -> Finding | None:
        if code == LABELS:
            judged = checks_model.judge_labels(self.survey, seed=self.seed)
            self.suspects, self.classifier = judged.suspects, judged.classifier
            if judged.obstacle:
                self.skipped[code] = judged.obstacle
                return None
            return checks_model.suspicious_labels(self.survey, judged)
        if code == OUTLIERS:
            return checks_model.outliers(self.survey, seed=self.seed)
        self.shortcuts = checks_model.measure(self.survey, seed=self.seed)
        return checks_model.shortcuts(self.shortcuts, classifier=self.classifier)


def _summary(findings: Collection[Finding]) -> str:
    counts = {
        severity: sum(finding.severity == severity for finding in findings)
        for severity in ("error", "warning", "info")
    }
    told = [
        f"{counts['error']:,} error{'s' * (counts['error'] != 1)}",
        f"{counts['warning']:,} warning{'s' * (counts['warning'] != 1)}",
        f"{counts['info']:,} worth knowing",
    ]
    return ", ".join(told) if findings else "nothing found"
