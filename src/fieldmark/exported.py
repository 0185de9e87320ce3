"""An exported model at work: predictions from an ONNX file, without torch.

In: the file that `fieldmark export` wrote, and photos. Out: the same predictions as from its run.
Photos are decoded by the code that decodes them everywhere; the rest is in the file's graph.
Not covered: making such files (`exporting`).

Shapes: N photos, H height, W width, S side in pixels, C classes; 3 channels.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldmark.base.chunks import in_chunks
from fieldmark.base.counting import counted
from fieldmark.base.errors import BundleError, ExportError
from fieldmark.base.executor import ThreadExecutor
from fieldmark.data.images import UnreadableImage
from fieldmark.data.photo_file import read_photo
from fieldmark.evaluation.answer import Prediction, answer, check_top_k
from fieldmark.models.exported_form import (
    IMAGES,
    LOGITS,
    METADATA_KEY,
    PIXELS,
    PROBABILITIES,
    UNFAMILIARITY,
    ExportedForm,
)

Floats = NDArray[np.float64]

SUFFIX = ".onnx"
MAX_BYTES = (1 << 31) - 1
"""What a protocol buffer, and so an ONNX file without others beside it, can have."""
CHUNK = 64
"""Photos that are worked on before the first answer is awaited: bounds memory."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outputs:
    """What a model says of a batch."""

    probabilities_NC: Floats
    """Calibrated, 0 to 1."""
    logits_NC: Floats
    """As the network gives them, before temperature and softmax."""
    unfamiliarity_N: Floats | None
    """Higher for photos less like those of training; None where it has no such score."""


def joined(parts: Sequence[Outputs]) -> Outputs:
    """Return the outputs of several batches as those of one; at least one batch."""
    scores = [part.unfamiliarity_N for part in parts if part.unfamiliarity_N is not None]
    return Outputs(
        probabilities_NC=np.concatenate([part.probabilities_NC for part in parts]),
        logits_NC=np.concatenate([part.logits_NC for part in parts]),
        unfamiliarity_N=np.concatenate(scores) if scores else None,
    )


class ExportedModel:
    """An ONNX file that Fieldmark wrote, ready to predict."""

    def __init__(self, content: bytes, *, path: Path, num_threads: int = 1) -> None:
        """Make a file's content ready; nothing beside it is ever read.

        Args:
            content: of the file.
            path: names it in messages.
            num_threads: for one batch. Several threads may call at once, each with a batch of its
                own, which is faster than to share one.

        Raises:
            BundleError: it is no ONNX model, or none that Fieldmark wrote.
            ExportError: ONNX Runtime is not installed.
        """
        self.path = path
        self._session = _session(content, path, num_threads=num_threads)
        metadata = self._session.get_modelmeta().custom_metadata_map
        if METADATA_KEY not in metadata:
            raise BundleError(
                f"{path} was not written by Fieldmark: how to read photos for it is not known. "
                "Write one with: fieldmark export RUN --to onnx"
            )
        self.form = ExportedForm.from_json(metadata[METADATA_KEY], where=str(path))
        shapes = {output.name: list(output.shape) for output in self._session.get_outputs()}
        self._outputs = list(shapes)
        self._check_classes()
        for output in (PROBABILITIES, LOGITS):
            self._check_width(output, shapes.get(output))

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, in the order of the probabilities."""
        return self.form.classes

    @property
    def takes_images(self) -> bool:
        """Whether it takes photos of any size."""
        return self.form.takes == "any"

    def of_images(self, images_NHW3: NDArray[np.uint8]) -> Outputs:
        """Return what it says of decoded photos of one size, any.

        Args:
            images_NHW3: RGB, uint8, as `Preprocess.decode` gives them; N is 1 or more.
        """
        if self.takes_images:
            return self._run({IMAGES: images_NHW3})
        return self.of_pixels(
            np.stack([self.form.preprocess.to_pixels(one) for one in images_NHW3])
        )

    def of_pixels(self, pixels_NSS3: NDArray[np.uint8]) -> Outputs:
        """Return what it says of what `Preprocess.to_pixels` gave, photos of any sizes together."""
        if not self.takes_images:
            return self._run({PIXELS: pixels_NSS3})
        none = np.zeros((0, 1, 1, 3), dtype=np.uint8)
        return self._run({IMAGES: none, PIXELS: pixels_NSS3})

    def predict(self, files: Sequence[str | Path], *, top_k: int = 5) -> list[Prediction]:
        """Return a prediction for each photo, in order; one that cannot be read says why."""
        return list(self.iterate_predictions([Path(file) for file in files], top_k=top_k))

    def iterate_predictions(self, files: Iterable[Path], *, top_k: int) -> Iterator[Prediction]:
        """Yield predictions as they come; files are taken as they are needed.

        Raises:
            DataError: `top_k` is below 1.
        """
        check_top_k(top_k)
        executor, answered = ThreadExecutor(), partial(self._answered, top_k=top_k)
        for chunk in in_chunks(files, CHUNK):
            yield from executor.map(answered, chunk)

    def _check_classes(self) -> None:
        names = self.form.classes
        if not names or len(set(names)) < len(names):
            raise BundleError(
                f"{self.path} names no class, or one of them twice. It was altered; take a fresh "
                "copy of it."
            )

    def _check_width(self, output: str, shape: Sequence[object] | None) -> None:
        """Refuse an output that has not one number for each class: they would be misnamed.

        Args:
            output: its name.
            shape: as the graph says or as it came out; None where it is missing.

        Raises:
            BundleError: so it is.
        """
        num = len(self.form.classes)
        if shape is None or len(shape) != 2 or shape[1] != num:
            found = "is missing" if shape is None else f"has the shape {list(shape)}"
            raise BundleError(
                f"{self.path} does not give what its description says: it names "
                f"{counted(num, 'class', 'classes')}, and its output '{output}' {found}. It was "
                "altered; take a fresh copy of it."
            )

    def _answered(self, file: Path, *, top_k: int) -> Prediction:
        try:
            decoded = self.form.preprocess.decode(read_photo(file))
        except UnreadableImage as error:
            return Prediction(path=str(file), ranking=(), error=str(error))
        said = self.of_images(decoded.pixels_HW3[None])
        return answer(
            str(file),
            said.probabilities_NC[0],
            classes=self.classes,
            rule=self.form.decision,
            top_k=top_k,
            unfamiliarity=(
                None if said.unfamiliarity_N is None else float(said.unfamiliarity_N[0])
            ),
        )

    def _run(self, feed: dict[str, NDArray[np.uint8]]) -> Outputs:
        results = self._session.run(self._outputs, feed)
        found = {
            name: np.asarray(result, dtype=np.float64)
            for name, result in zip(self._outputs, results, strict=True)
        }
        for output in (PROBABILITIES, LOGITS):  # a graph may claim one shape and give another
            self._check_width(output, found[output].shape)
        return Outputs(
            probabilities_NC=found[PROBABILITIES],
            logits_NC=found[LOGITS],
            unfamiliarity_N=found.get(UNFAMILIARITY),
        )


def load_exported(path: str | Path, *, num_threads: int = 1) -> ExportedModel:
    """Open an ONNX file that Fieldmark wrote; arguments and errors as of `ExportedModel`.

    Raises:
        BundleError: there is no such file, too.
    """
    place = Path(path).expanduser()
    return ExportedModel(_content(place), path=place, num_threads=num_threads)


def _content(path: Path) -> bytes:
    if not path.is_file():
        raise BundleError(f"There is no file {path}. Check the path for a typing error.")
    try:
        with path.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            # To ask for as much as is allowed would take that much memory at once.
            content = stream.read(min(size, MAX_BYTES) + 1)
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error.strerror or error}.") from error
    if size > MAX_BYTES or len(content) > MAX_BYTES:
        raise BundleError(f"{path} is larger than any ONNX file, {MAX_BYTES:,} bytes.")
    return content


def _session(content: bytes, path: Path, *, num_threads: int) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise ExportError(
            "ONNX Runtime is not installed, which runs exported models. Install it with: "
            'pip install "fieldmark[export]"'
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = num_threads
    options.log_severity_level = 3  # errors, which are raised as well
    try:
        # From bytes, so that a file which names others beside it finds none.
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # it raises a class of its own for each of its error codes
        raise BundleError(f"{path} is no ONNX model that can be run: {error}") from error
