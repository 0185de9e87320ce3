"""Prediction: pixels in, features and logits out, fast and the same every time.

In: a `Classifier` and uint8 pixels. Out: float32 arrays.
Validation, test, prediction and serving all come through here, so their numbers agree.
Several views of a photo are averaged as features, so that one row stands for a photo, in the cache
as in the head. Of a linear head that gives the mean of the views' logits. A cosine head looks at
the direction of the mean, which ranks the classes as the mean of its logits does where each view
weighs as much as its features are long; the size of the logits is that of a single view's.
Not covered: probabilities (see `evaluation.predictions`) and decoding (see `data`).
"""

import copy
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fieldmark.base.cache import remembered
from fieldmark.base.executor import Executor, SerialExecutor, ThreadExecutor, available_cores
from fieldmark.base.machine import processor_name
from fieldmark.data.views import views
from fieldmark.models.classifier import PRECISIONS, Classifier
from fieldmark.models.folding import fold_batchnorm
from fieldmark.models.heads import head_logits
from fieldmark.models.precision import Run, choose, photos_per_second

BATCH_CPU = 8
"""Photos a batch on a CPU. Small batches stay in its caches: MobileNetV2 at 224 px does 221
photos/s at 8, 163 at 32 and 117 at 128 on two cores."""
BATCH_CUDA = 128

# Legend for shape suffixes: M photos in store, N photos wanted, C classes, F features;
# NHWC and NCHW images of 3 channels.


class Predictor:
    """A classifier made ready to predict on one device.

    Every batch has the same size; the last is filled up with blanks. Kernels may be chosen by
    the size of a batch, so this is what makes a photo's logits independent of how many
    neighbours it has.
    """

    def __init__(
        self, classifier: Classifier, *, device: torch.device, folded: nn.Module | None = None
    ) -> None:
        """Make a copy of the network ready.

        Args:
            classifier: is not changed. A head that is set later is the one used.
            device: on which it shall predict.
            folded: what `fold_batchnorm` gives of the classifier's extractor, where it is at hand;
                the predictor takes it over.
        """
        network = classifier.network
        dtype = PRECISIONS[classifier.architecture.precision]
        if folded is None:
            folded = fold_batchnorm(network.extractor, size_px=classifier.preprocess.size_px)
        self._extractor = folded.to(device, dtype).to(memory_format=torch.channels_last)
        self._head = network.head
        self._preprocess = classifier.preprocess
        self._dtype = dtype
        self._views = classifier.architecture.views
        self._device = device
        self.batch_size = BATCH_CUDA if device.type == "cuda" else BATCH_CPU
        # On a CPU each thread computes batches of its own. Threads that share a batch wait for
        # each other at every layer, which on a busy machine costs up to nine tenths of the speed;
        # and the result would depend on how many there are.
        self._executor: Executor = ThreadExecutor() if device.type == "cpu" else SerialExecutor()

    def features(
        self,
        pixels_MHWC: NDArray[np.uint8],
        *,
        rows_N: NDArray[np.int64] | None = None,
        on_batch: Callable[[int], None] | None = None,
    ) -> NDArray[np.float32]:
        """Return features_NF (float32) of uint8 photos.

        `rows_N` are the positions of the photos wanted, all where None; only a batch at a time
        is copied. `on_batch` is called with the number of photos done after each batch.
        """
        batches = self.batches_of_features(pixels_MHWC, rows_N=rows_N)
        features = [np.empty((0, self._head.in_features), dtype=np.float32)]
        with closing(batches):
            for rows in batches:
                features.append(rows)
                if on_batch:
                    on_batch(len(rows))
        return np.concatenate(features)

    def batches_of_features(
        self, pixels_MHWC: NDArray[np.uint8], *, rows_N: NDArray[np.int64] | None = None
    ) -> Generator[NDArray[np.float32]]:
        """Yield features_NF (float32) batch by batch in the order of `rows_N`, as they come.

        Close it when it is not read to its end: PyTorch's number of threads is then as before.
        """
        rows_N = np.arange(len(pixels_MHWC)) if rows_N is None else rows_N
        starts = range(0, len(rows_N), self.batch_size)
        batches = [rows_N[start : start + self.batch_size] for start in starts]

        def run(chosen: NDArray[np.int64]) -> NDArray[np.float32]:
            if self._device.type == "cpu":
                torch.set_num_threads(1)  # of the worker's own; see `_executor`
            batch_NHWC = _filled(pixels_MHWC[chosen], size=self.batch_size)
            features_NF: NDArray[np.float32] = self._features(batch_NHWC).cpu().numpy()
            return features_NF[: len(chosen)]

        threads_before = torch.get_num_threads()
        try:
            yield from self._executor.map(run, batches)
        finally:
            torch.set_num_threads(threads_before)

    def logits_of_features(self, features_NF: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return logits_NC (float32) of features, summed in float64."""
        return head_logits(self._head, features_NF)

    def logits(
        self,
        pixels_MHWC: NDArray[np.uint8],
        *,
        rows_N: NDArray[np.int64] | None = None,
        on_batch: Callable[[int], None] | None = None,
    ) -> NDArray[np.float32]:
        """Return logits_NC (float32) of uint8 photos; arguments as of `features`."""
        return self.logits_of_features(self.features(pixels_MHWC, rows_N=rows_N, on_batch=on_batch))

    def _features(self, batch_NHWC: NDArray[np.uint8]) -> Tensor:
        with torch.inference_mode():
            # A permuted NHWC array already is channels_last in memory.
            images_NCHW = torch.from_numpy(batch_NHWC).permute(0, 3, 1, 2).to(self._device)
            normalised = self._preprocess.normalise(images_NCHW, dtype=self._dtype)
            total_NF: Tensor | None = None
            for view_NCHW in views(normalised, self._views):
                features_NF: Tensor = self._extractor(view_NCHW).float()
                total_NF = features_NF if total_NF is None else total_NF + features_NF
            assert total_NF is not None
            return total_NF if self._views == 1 else total_NF / self._views


def choose_device() -> torch.device:
    """Return the GPU where PyTorch sees one, the CPU otherwise."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def choose_precision(
    classifier: Classifier,
    *,
    asked: str,
    device: torch.device,
    measure: Callable[[Mapping[str, Run]], Mapping[str, float]] | None = None,
) -> tuple[str, str]:
    """Return ("float32" or "bfloat16", the reason) for what a network shall predict in.

    Where `asked` is "auto" and the device multiplies bfloat16 natively, both are measured on the
    network as it predicts, for about 3 s at most (see `precision`), and the figures are kept in
    the user's cache: for the same network, size, processor, cores and version of PyTorch the answer
    stays the same, and with it the numbers of a run.

    Args:
        classifier: is not changed; its own precision is not looked at.
        asked: "auto", "float32" or "bfloat16".
        device: on which it shall predict.
        measure: gives the photos a second of each way to run the network; None: by the clock.
    """
    if asked != "auto":
        return asked, "asked for"
    if not has_fast_bfloat16(device):
        return "float32", "this processor does not multiply bfloat16 natively"

    def compute() -> dict[str, Any]:
        runs = _runs(classifier, device=device)
        return {"photos_per_second": dict((measure or photos_per_second)(runs))}

    rates = remembered(
        "precision",
        _speed_depends_on(classifier, device=device),
        compute,
        read=lambda kept: {name: float(kept["photos_per_second"][name]) for name in PRECISIONS},
    )
    return choose(rates)


def _runs(classifier: Classifier, *, device: torch.device) -> dict[str, Run]:
    """Return how to run the network on a batch a core in each precision."""
    side = classifier.preprocess.size_px
    folded = fold_batchnorm(classifier.network.extractor, size_px=side)

    def run_of(precision: str) -> Run:
        architecture = replace(classifier.architecture, precision=precision, views=1)
        asked = replace(classifier, architecture=architecture)
        predictor = Predictor(asked, device=device, folded=copy.deepcopy(folded))
        num_photos = predictor.batch_size * (available_cores() if device.type == "cpu" else 1)
        noise = np.random.default_rng(0)
        pixels_NHWC = noise.integers(0, 256, (num_photos, side, side, 3), dtype=np.uint8)
        return lambda: len(predictor.features(pixels_NHWC))

    return {name: run_of(name) for name in PRECISIONS}


def _speed_depends_on(classifier: Classifier, *, device: torch.device) -> dict[str, Any]:
    architecture = classifier.architecture
    on_cuda = device.type == "cuda"
    return {
        "backbone": architecture.backbone,
        "backbone_args": dict(architecture.backbone_args),
        "stages": architecture.stages,
        "feature_power": architecture.feature_power,
        "flatten": architecture.head == "flatten",
        "size_px": classifier.preprocess.size_px,
        "processor": torch.cuda.get_device_name(device) if on_cuda else processor_name(),
        "cores": available_cores(),
        "torch": torch.__version__,
    }


def has_fast_bfloat16(device: torch.device) -> bool:
    """Whether a device multiplies bfloat16 matrices faster than float32 ones."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))


def _filled(batch_NHWC: NDArray[np.uint8], *, size: int) -> NDArray[np.uint8]:
    missing = size - len(batch_NHWC)
    if not missing:
        return batch_NHWC
    return np.pad(batch_NHWC, ((0, missing), (0, 0), (0, 0), (0, 0)))
