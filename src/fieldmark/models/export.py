"""A classifier as one ONNX file: preprocessing, network and calibrated softmax in one graph.

In: a `Classifier`. Out: an ONNX model with what it is and how it decides in its metadata.
Two forms: "fixed" takes `pixels`, uint8 (N, S, S, 3), as `Preprocess.to_pixels` gives them; "any"
takes `images`, uint8 (N, H, W, 3), a batch of photos of any one size, and does that part itself,
and takes `pixels` as well, beside them or alone.
Not covered: decoding files, which no graph does; numbers of 8 bits (`quantise`); whether the file
does what the classifier does (`evaluation.parity`).

Shapes: N photos, H height, W width, S side in pixels, C classes.
"""

import copy
import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch import Tensor, nn

from fieldmark._version import __version__
from fieldmark.data.views import views
from fieldmark.models.classifier import Classifier
from fieldmark.models.exported_form import (
    IMAGES,
    LOGITS,
    METADATA_KEY,
    PIXELS,
    PROBABILITIES,
    UNFAMILIARITY,
    ExportedForm,
)
from fieldmark.models.folding import fold_batchnorm
from fieldmark.models.onnx_graph import UINT8, GraphBuilder
from fieldmark.models.resize_graph import ResizeGraph
from fieldmark.models.strangeness import Strangeness

OPSET = 20
"""Of ONNX: the first in which all that is used here exists, read by ONNX Runtime 1.17 and later."""
MAX_BATCH = 1 << 20
"""More photos at once than any memory holds."""


class Deployed(nn.Module):
    """A classifier's network from uint8 pixels to calibrated probabilities, in float32."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        network = classifier.network
        self.extractor = fold_batchnorm(network.extractor, size_px=classifier.preprocess.size_px)
        self.head = copy.deepcopy(network.head).cpu().float()
        self._preprocess = classifier.preprocess
        self._views = classifier.architecture.views
        self._temperature = classifier.temperature
        rule = classifier.decision.unfamiliar
        self.strangeness = Strangeness(rule, classifier.familiar) if rule is not None else None

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """Return probabilities_NC, logits_NC and, where it has such a score, unfamiliarity_N.

        Args:
            pixels: uint8, (N, S, S, 3).
        """
        images_NCHW = self._preprocess.normalise(pixels.permute(0, 3, 1, 2))
        total_NF: Tensor | None = None
        for view_NCHW in views(images_NCHW, self._views):
            features_NF = self.extractor(view_NCHW)
            total_NF = features_NF if total_NF is None else total_NF + features_NF
        assert total_NF is not None
        features_NF = total_NF / self._views if self._views > 1 else total_NF
        logits_NC = self.head(features_NF)
        probabilities_NC = torch.softmax(logits_NC / self._temperature, dim=1)
        if self.strangeness is None:
            return probabilities_NC, logits_NC
        return probabilities_NC, logits_NC, self.strangeness(features_NF, logits_NC)


def export_fixed(classifier: Classifier) -> onnx.ModelProto:
    """Return the classifier as a graph that takes `pixels`.

    Raises:
        torch.onnx.OnnxExporterError: the network does something that ONNX has no operation for.
    """
    side = classifier.preprocess.size_px
    example = torch.zeros(2, side, side, 3, dtype=torch.uint8)
    network = Deployed(classifier).eval()
    scores = [UNFAMILIARITY] if network.strangeness is not None else []
    with _quietly(), torch.no_grad():
        program = torch.onnx.export(
            network,
            (example,),
            dynamo=True,
            opset_version=OPSET,
            dynamic_shapes={PIXELS: {0: torch.export.Dim("N", min=1, max=MAX_BATCH)}},
            input_names=[PIXELS],
            output_names=[PROBABILITIES, LOGITS, *scores],
            verbose=False,
        )
    assert program is not None
    model: onnx.ModelProto = program.model_proto
    _forget_sources(model)
    return model


def taking_images(fixed: onnx.ModelProto, classifier: Classifier) -> onnx.ModelProto:
    """Return a graph that takes `images` of any size, and `pixels` where they are given.

    Args:
        fixed: what `export_fixed` gave, or the same in 8 bits; not changed.
        classifier: whose preprocessing it shall do.
    """
    side = classifier.preprocess.size_px
    model = copy.deepcopy(fixed)
    graph, builder = model.graph, GraphBuilder("resize_")
    prepared = ResizeGraph(builder, classifier.preprocess).to_pixels(IMAGES)
    both = builder.add("Concat", prepared, PIXELS, axis=0)
    for node in graph.node:
        for place, name in enumerate(node.input):
            if name == PIXELS:
                node.input[place] = both
    nodes = [*builder.nodes, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    # An input with a value of its own may be left out: without pixels there are none of them.
    none = np.zeros((0, side, side, 3), dtype=np.uint8)
    graph.initializer.extend([*builder.constants, numpy_helper.from_array(none, PIXELS)])
    del graph.input[:]
    graph.input.extend(
        [
            helper.make_tensor_value_info(IMAGES, UINT8, ["images", "height", "width", 3]),
            helper.make_tensor_value_info(PIXELS, UINT8, ["pixels", side, side, 3]),
        ]
    )
    for output in graph.output:
        output.type.tensor_type.shape.dim[0].dim_param = "photos"
    # What was known of shapes within speaks of the number of pixels alone.
    del graph.value_info[:]
    return model


def describe(model: onnx.ModelProto, form: ExportedForm) -> None:
    """Put what is known of a model into its metadata, for our reader and for others' programs."""
    model.producer_name, model.producer_version = "fieldmark", __version__
    helper.set_model_props(
        model,
        {
            "classes": json.dumps(form.classes, ensure_ascii=False),
            METADATA_KEY: json.dumps(form.to_json(), ensure_ascii=False, allow_nan=False),
        },
    )


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep the exporter's remarks on its own workings from the user's terminal."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)


def _forget_sources(model: onnx.ModelProto) -> None:
    """Drop what the exporter notes of the machine: paths of source files, among others."""
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output):
        del value.metadata_props[:]
    for tensor in model.graph.initializer:
        del tensor.metadata_props[:]
    del model.graph.metadata_props[:]
    del model.metadata_props[:]
