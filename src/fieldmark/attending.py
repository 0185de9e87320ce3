"""What a network looks at on test photos of its own run, right after it was trained.

In: the classifier, the pixels of the photos and what it named them. Out: `Attention`, for
`attention.json`. Explained are the worst mistakes and a typical photo of each class, to be shown,
and a random sample, for the share of the border. `fieldmark explain` does it for any photo.
Not covered: the maps (`models.explain`), and how they are shown (`report.attention`).

Shapes: K classes of a photo, H height and W width of a map.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch

from fieldmark.base.counting import counted
from fieldmark.base.errors import RunError
from fieldmark.base.executor import Executor, SerialExecutor, ThreadExecutor
from fieldmark.base.progress import Progress
from fieldmark.base.run_folder import RunFolder
from fieldmark.collect import Collected
from fieldmark.data.catalog import CatalogRow
from fieldmark.data.pixels import PixelStore
from fieldmark.data.placement import placement
from fieldmark.data.split_table import TEST
from fieldmark.evaluation.predictions import read_predictions
from fieldmark.models.attention import border_share, mean_share
from fieldmark.models.classifier import Classifier
from fieldmark.models.explain import Explainer
from fieldmark.report.answers import Answer, answers_of, one_a_group
from fieldmark.report.attention_document import Attention, ClassHeat, SeenPhoto, not_explained

MAX_MISTAKES, MAX_TYPICAL = 8, 16
"""Photos that are shown, so that they take up little of the page."""
NUM_SAMPLED = 32
"""Photos for the share of the border: enough to tell it from the 36 % of even attention where it is
a tenth off, and few enough to cost about half a second."""
SEED = 0


def attend(
    classifier: Classifier,
    collected: Collected,
    *,
    folder: RunFolder,
    device: torch.device,
    progress: Progress,
) -> Attention:
    """Explain test photos of a run whose predictions are written already.

    A network that cannot be explained is no error: the reason is told and kept.

    Raises:
        RunError: `predictions.csv` is missing or malformed.
    """
    answers = _answers(classifier, collected, folder=folder)
    chosen = _chosen(answers)
    progress.start("What it looks at", total=len(chosen.all), unit="photos")
    try:
        with _one_thread(device):
            attention = _looked_at(classifier, collected, chosen, device=device, progress=progress)
    except (RunError, RuntimeError) as error:
        # After hours of training, an odd network must not fail for want of a picture.
        why = str(error).splitlines()[0]
        progress.finish(f"not shown: {why}")
        return not_explained(why)
    progress.finish(counted(len(chosen.all), "test photo"))
    return attention


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chosen:
    mistakes: Sequence[Answer]
    typical: Sequence[Answer]
    sample: Sequence[Answer]

    @property
    def all(self) -> dict[str, Answer]:
        """Each photo once, by path."""
        return {one.photo.path: one for one in (*self.mistakes, *self.typical, *self.sample)}


def _answers(
    classifier: Classifier, collected: Collected, *, folder: RunFolder
) -> tuple[Answer, ...]:
    temperature = classifier.decision.temperature
    predictions = read_predictions(folder.predictions_csv, temperature=temperature)
    return answers_of(
        predictions.of_split(TEST),
        digests={row.path: row.sha256 for row in collected.catalog.usable},
        groups=collected.splits.groups(),
    )


def _chosen(answers: Sequence[Answer]) -> _Chosen:
    """Choose the photos as the report does: the surest mistakes, the most typical of each class."""
    wrong = sorted(
        (one for one in answers if not one.is_right),
        key=lambda one: (-one.confidence, one.photo.path),
    )
    best: dict[str, Answer] = {}
    num_right: dict[str, list[bool]] = {}
    for one in sorted(answers, key=lambda one: (-one.odds, one.photo.path)):
        num_right.setdefault(one.true, []).append(one.is_right)
        if one.is_right:
            best.setdefault(one.true, one)
    hardest = sorted(best, key=lambda name: (np.mean(num_right[name]), name))
    drawn = np.random.default_rng(SEED).permutation(len(answers)).tolist()
    return _Chosen(
        mistakes=wrong[:MAX_MISTAKES],
        typical=[best[name] for name in hardest[:MAX_TYPICAL]],
        sample=one_a_group((answers[place] for place in drawn), most=NUM_SAMPLED),
    )


def _looked_at(
    classifier: Classifier,
    collected: Collected,
    chosen: _Chosen,
    *,
    device: torch.device,
    progress: Progress,
) -> Attention:
    explainer = Explainer(classifier, device=device)
    looker = _Looker(
        classifier=classifier,
        explainer=explainer,
        store=collected.store,
        rows={row.path: row for row in collected.catalog.usable},
        is_on_cpu=device.type == "cpu",
    )
    executor: Executor = ThreadExecutor() if looker.is_on_cpu else SerialExecutor()
    seen = {}
    for one in executor.map(looker.look, list(chosen.all.values())):
        seen[one.photo.path] = one
        progress.advance()
    return Attention(
        mistakes=tuple(seen[one.photo.path] for one in chosen.mistakes),
        typical=tuple(seen[one.photo.path] for one in chosen.typical),
        border=mean_share(seen[one.photo.path].heats[0].border_share for one in chosen.sample),
        num_sampled=len(chosen.sample),
        layers=tuple(layer.name for layer in explainer.layers),
        why_not="",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Looker:
    """What it takes to look at a photo of the run."""

    classifier: Classifier
    explainer: Explainer
    store: PixelStore
    rows: Mapping[str, CatalogRow]
    is_on_cpu: bool

    def look(self, answer: Answer) -> SeenPhoto:
        """Return where the evidence lies for the class named and, if another, for the true one."""
        if self.is_on_cpu:
            torch.set_num_threads(1)  # of the worker's own; the caller's are set by `_one_thread`
        row, names = self.rows[answer.photo.path], dict.fromkeys([answer.predicted, answer.true])
        maps_KHW = self.explainer.maps(
            np.array(self.store.array[self.store.index(row.path)]),
            classes=[self.classifier.classes.index(name) for name in names],
        )
        assert row.width is not None
        assert row.height is not None
        where = placement(self.classifier.preprocess, width=row.width, height=row.height)
        return SeenPhoto(
            photo=answer.photo,
            true=answer.true,
            confidence=answer.confidence,
            of_photo=where.of_photo,
            in_square=where.in_square,
            heats=tuple(
                ClassHeat.of(map_HW, name=name, border_share=border_share(map_HW, where.in_square))
                for name, map_HW in zip(names, maps_KHW, strict=True)
            ),
        )


@contextmanager
def _one_thread(device: torch.device) -> Iterator[None]:
    """Compute on one core within the block: a photo is too small to share out (see `Predictor`)."""
    before = torch.get_num_threads()
    if device.type == "cpu":
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
