"""A finished run: what can be asked of it.

In: a run folder, or the bundle in it. Out: its evaluation, its predictions, and new ones.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fieldmark.base.errors import DataError, RunError
from fieldmark.base.executor import ThreadExecutor
from fieldmark.base.lock import holder
from fieldmark.base.run_folder import RunFolder, read_run_json
from fieldmark.base.run_record import resume_command

if TYPE_CHECKING:
    from fieldmark.audit.findings import Audit
    from fieldmark.evaluation.answer import Prediction
    from fieldmark.evaluation.evaluation import Evaluation
    from fieldmark.evaluation.predictions import Predictions
    from fieldmark.models.classifier import Classifier

BUNDLE_FILE = "model.json"


@dataclass(frozen=True, slots=True)
class Run:
    """A run folder that finished, or a bundle standing alone.

    `path` is the run folder, or None for a bundle; `bundle` is the bundle's folder, or its
    `.fieldmark` file.
    """

    path: Path | None
    bundle: Path

    @property
    def evaluation(self) -> "Evaluation":
        """The numbers on the test split, from the saved predictions.

        Raises:
            RunError: this is a bundle without its run, or the file is missing.
        """
        from fieldmark.data.split_table import read_splits
        from fieldmark.evaluation.evaluation import evaluate, read_evaluation

        folder = self._folder()
        saved = read_evaluation(folder.evaluation_json)
        return evaluate(
            self.predictions.of_split("test"),
            groups=read_splits(folder.splits_csv).groups(),
            decision=saved.decision if saved else None,
        )

    @property
    def predictions(self) -> "Predictions":
        """The logits of every photo of the run, with the temperature that belongs to them."""
        from fieldmark.evaluation.evaluation import read_evaluation
        from fieldmark.evaluation.predictions import read_predictions

        folder = self._folder()
        saved = read_evaluation(folder.evaluation_json)
        temperature = saved.decision.temperature if saved else 1.0
        return read_predictions(folder.predictions_csv, temperature=temperature)

    @property
    def audit(self) -> "Audit | None":
        """What was found in the photos; None for a run of before there were audits."""
        from fieldmark.audit.findings import read_findings

        return read_findings(self._folder().findings_json)

    @property
    def record(self) -> Mapping[str, Any]:
        """What `run.json` says: how the run was made, and how it ended.

        Raises:
            RunError: this is a bundle without its run, or the file is missing or too new.
        """
        return read_run_json(self._folder())

    @property
    def report(self) -> Path:
        """The path of the report."""
        return self._folder().report_html

    @property
    def classifier(self) -> "Classifier":
        """The trained classifier, its files verified."""
        from fieldmark.models.bundle import load_bundle

        return load_bundle(self.bundle)

    def predict(self, files: Sequence[str | Path], *, top_k: int = 5) -> "list[Prediction]":
        """Return a prediction for each photo, in order; one that cannot be read says why."""
        return list(self.iterate_predictions([Path(file) for file in files], top_k=top_k))

    def iterate_predictions(self, files: Iterable[Path], *, top_k: int) -> "Iterator[Prediction]":
        """Yield predictions as they come; files are taken as they are needed."""
        from fieldmark.models.inference import choose_device
        from fieldmark.models.prediction import predict_files

        return predict_files(
            self.classifier,
            files,
            top_k=top_k,
            device=choose_device(),
            executor=ThreadExecutor(),
        )

    def _folder(self) -> RunFolder:
        if self.path is None:
            raise RunError(
                f"{self.bundle} is a bundle without its run folder: it can predict, but its "
                "evaluation and report are in the run that made it."
            )
        return RunFolder(self.path)


def load(path: str | Path) -> Run:
    """Return the run at `path`: a run folder that finished, or a bundle, as folder or file.

    Raises:
        RunError: there is no such folder, it is no run, or the run did not finish.
        BundleError: it is a file that could run a program when it is opened.
    """
    folder = Path(path).expanduser()
    if not folder.exists():
        raise RunError(f"There is no run at {folder}. Check the path for a typing error.")
    if not folder.is_dir():
        return Run(None, _bundle_file(folder))
    if (folder / BUNDLE_FILE).is_file():
        inside_run = (folder.parent / "run.json").is_file()
        return Run(folder.parent if inside_run else None, folder)
    record = read_run_json(RunFolder(folder))
    if record.get("status") != "finished":
        raise RunError(f"The run in {folder} has not finished{_what_now(folder, record)}")
    return Run(folder, RunFolder(folder).model_dir)


def _bundle_file(path: Path) -> Path:
    """Return a file that may be a bundle; whether it is shows when it is opened.

    Raises:
        BundleError: it is a pickle or the like, which is never opened.
        RunError: it is something else.
    """
    from fieldmark.models.foreign import refuse_foreign
    from fieldmark.models.zipped import SUFFIX

    refuse_foreign(path)
    if path.suffix.lower() == SUFFIX:
        return path
    if path.suffix.lower() == ".onnx":
        raise RunError(
            f"{path} is an exported model, which can predict and nothing else. Give the run folder "
            "that it was made from."
        )
    raise RunError(
        f"{path} is a file. Give a run folder, the bundle 'model' in it, or a {SUFFIX} file."
    )


def find_photos(paths: Sequence[Path]) -> tuple[list[Path], list[tuple[Path, str]]]:
    """Return the photos under `paths`, and the other files met with the reason for each.

    Raises:
        DataError: a path does not exist, or there is no photo under any of them.
    """
    from fieldmark.data.layout import NO_CLASS, find_files

    photos: list[Path] = []
    left_out: list[tuple[Path, str]] = []
    for path in paths:
        if not path.exists():
            raise DataError(f"There is no file or folder {path}. Check the path.")
        if path.is_file():
            photos.append(path)
            continue
        for file in find_files(path)[0]:
            place = path / file.path
            # A folder to predict on need have no class folders.
            if file.problem and file.problem != NO_CLASS:
                left_out.append((place, file.problem))
            else:
                photos.append(place)
    if not photos:
        raise DataError(
            f"There is no photo under {', '.join(map(str, paths))}{_such_as(left_out)}."
        )
    return photos, left_out


def _such_as(left_out: Sequence[tuple[Path, str]]) -> str:
    if not left_out:
        return ""
    path, reason = left_out[0]
    files = "1 file was" if len(left_out) == 1 else f"{len(left_out):,} files were"
    return f", though {files} met, such as {path}: {reason}"


def _what_now(folder: Path, record: Mapping[str, Any]) -> str:
    """Say what keeps a run from its end, and what to do about it."""
    if process := holder(RunFolder(folder).lock):
        return f": it is still going on in {process}. Wait until that has ended."
    status, error = record.get("status"), record.get("error")
    why = f" ({error})" if error else ""
    command = resume_command(str(record.get("photos")), folder)
    if status == "failed":
        return f": it failed{why}. Put that right and go on with it: {command}"
    return f": it was stopped{why}. Go on with it: {command}"
