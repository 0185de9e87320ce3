"""Prediction: pixels in, features and logits out, fast and the same every time.

In: a `Classifier` and uint8 pixels. Out: float32 arrays.
Validation, test, prediction and serving all come through here, so their numbers agree.
Not covered: probabilities (see `evaluation.predictions`) and decoding (see `data`).
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fieldmark.base.executor import Executor, SerialExecutor, ThreadExecutor
from fieldmark.models.classifier import PRECISIONS, Classifier
from fieldmark.models.folding import fold_batchnorm

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

    def __init__(self, classifier: Classifier, *, device: torch.device) -> None:
        network = classifier.network
        dtype = PRECISIONS[classifier.architecture.precision]
        folded = fold_batchnorm(network.extractor, size_px=classifier.preprocess.size_px)
        self._extractor = folded.to(device, dtype).to(memory_format=torch.channels_last)
        self._head = network.head
        self._preprocess = classifier.preprocess
        self._dtype = dtype
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
        rows_N = np.arange(len(pixels_MHWC)) if rows_N is None else rows_N
        starts = range(0, len(rows_N), self.batch_size)
        batches = [rows_N[start : start + self.batch_size] for start in starts]

        def run(chosen: NDArray[np.int64]) -> NDArray[np.float32]:
            if self._device.type == "cpu":
                torch.set_num_threads(1)  # of the worker's own; see `_executor`
            batch_NHWC = _filled(pixels_MHWC[chosen], size=self.batch_size)
            features_NF: NDArray[np.float32] = self._features(batch_NHWC).cpu().numpy()
            return features_NF[: len(chosen)]

        features = [np.empty((0, self._head.in_features), dtype=np.float32)]
        threads_before = torch.get_num_threads()
        try:
            for rows in self._executor.map(run, batches):
                features.append(rows)
                if on_batch:
                    on_batch(len(rows))
        finally:
            torch.set_num_threads(threads_before)
        return np.concatenate(features)

    def logits_of_features(self, features_NF: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return logits_NC (float32) of features, summed in float64.

        In float64 the order of summation no longer shows in the float32 result.
        """
        with torch.inference_mode():
            weight_CF, bias_C = self._head.weight.cpu().double(), self._head.bias.cpu().double()
            logits_NC = torch.from_numpy(features_NF).double() @ weight_CF.T + bias_C
            rounded_NC: NDArray[np.float32] = logits_NC.float().numpy()
        return rounded_NC

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
            features_NF: Tensor = self._extractor(normalised)
            return features_NF.float()


def choose_device() -> torch.device:
    """Return the GPU where PyTorch sees one, the CPU otherwise."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def choose_precision(network: nn.Module, *, asked: str, device: torch.device) -> tuple[str, str]:
    """Return ("float32" or "bfloat16", the reason) for what a network shall compute in.

    The rule depends on the hardware and the network alone, never on a timing, so that the same
    run gives the same numbers.
    """
    if asked != "auto":
        return asked, "asked for"
    if not has_fast_bfloat16(device):
        return "float32", "this processor does not multiply bfloat16 natively"
    depthwise = any(
        isinstance(module, nn.Conv2d) and module.groups == module.in_channels > 1
        for module in network.modules()
    )
    if depthwise and device.type == "cpu":
        return "float32", "depthwise convolutions gain little from bfloat16 on a CPU"
    return "bfloat16", "the processor multiplies bfloat16 natively"


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
