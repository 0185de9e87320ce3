"""An exported file predicts without torch, and a file of another kind is refused."""

import json
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

import fieldmark
from fieldmark.base.errors import BundleError, DataError
from fieldmark.data.preprocess import Preprocess
from fieldmark.exported import load_exported
from fieldmark.serving.answering import open_answerer

BLOCKED = ("torch", "torchvision", "timm", "onnx", "safetensors", "sklearn", "huggingface_hub")


@pytest.fixture(scope="module")
def model(finished_quick: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("exported") / "model.onnx"
    fieldmark.export(finished_quick, out=out)
    return out


@pytest.mark.parametrize("output_format", ["csv", "table"])
def test_the_command_line_predicts_where_torch_cannot_be_imported(
    output_format: str, model: Path, photos: Path, call_main: Callable[..., Any]
) -> None:
    program = textwrap.dedent(f"""
        import sys
        for name in {BLOCKED!r}:
            sys.modules[name] = None
        sys.argv = ["fieldmark", *sys.argv[1:]]
        from fieldmark.__main__ import main
        main()
    """)
    arguments = ["predict", str(model), str(photos), "--format", output_format]
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == call_main(*arguments).out


def test_odd_photos_are_named_as_by_the_run(
    model: Path, finished_quick: Any, tmp_path: Path
) -> None:
    generator = np.random.default_rng(0)
    files = []
    for number in range(200):
        size = tuple(int(side) for side in generator.integers(1, 200, 2))
        kind = ("RGB", "L", "P", "RGBA", "CMYK", "1", "I;16")[number % 7]
        if kind == "I;16":
            image = Image.fromarray(generator.integers(0, 1 << 16, size, dtype=np.uint16))
        else:
            pixels = generator.integers(0, 256, (*size, 3), dtype=np.uint8)
            image = Image.fromarray(pixels).convert(kind)
        suffix = "jpg" if kind in {"RGB", "L", "CMYK"} and number % 2 else "tif"
        files.append(tmp_path / f"{number}.{suffix}")
        image.save(files[-1])
    (tmp_path / "broken.jpg").write_bytes(files[1].read_bytes()[:50])
    files += [tmp_path / "broken.jpg", tmp_path / "nowhere.jpg"]
    found, expected = load_exported(model).predict(files), finished_quick.predict(files)
    for one, other in zip(found, expected, strict=True):
        assert (one.path, one.error) == (other.path, other.error)
        assert dict(one.ranking) == pytest.approx(dict(other.ranking), abs=1e-5)
    assert sum(one.error is not None for one in found) == 2


def test_the_number_of_classes_named_is_checked(model: Path, photos: Path) -> None:
    with pytest.raises(DataError, match="--top-k is 0"):
        fieldmark.predict(model, [photos], top_k=0)


def plain_model() -> onnx.ModelProto:
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "g",
        [value],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])],
    )
    opsets = [helper.make_opsetid("", 20)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def refusal(content: bytes, path: Path) -> str:
    path.write_bytes(content)
    with pytest.raises(BundleError) as caught:
        load_exported(path)
    return str(caught.value)


def test_a_file_of_somebody_else_is_refused(tmp_path: Path) -> None:
    model, path = plain_model(), tmp_path / "other.onnx"
    assert "was not written by Fieldmark" in refusal(model.SerializeToString(), path)
    for content in (b"", b"not a model", model.SerializeToString()[:-9]):
        assert str(path) in refusal(content, path)
    with pytest.raises(BundleError, match="There is no file"):
        load_exported(tmp_path / "nowhere.onnx")


@pytest.mark.parametrize(
    ("metadata", "told"),
    [
        ("{", "cannot be read"),
        ("[" * 100_000, "cannot be read"),
        ("{}", "no schema_version"),
        ('{"schema_version": 99}', "Install a newer Fieldmark"),
        ('{"schema_version": 1}', "malformed"),
    ],
)
def test_metadata_that_make_no_sense_are_refused(metadata: str, told: str, tmp_path: Path) -> None:
    model = plain_model()
    helper.set_model_props(model, {"fieldmark": metadata})
    assert told in refusal(model.SerializeToString(), tmp_path / "other.onnx")


def with_classes(model: Path, names: list[str]) -> bytes:
    """Return an exported file with other names of classes."""
    changed = onnx.load(model)
    (described,) = [one for one in changed.metadata_props if one.key == "fieldmark"]
    content = json.loads(described.value)
    content["classes"] = names
    described.value = json.dumps(content)
    return bytes(changed.SerializeToString())


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["cherry", "leaf"], "names 2 classes, and its output 'probabilities' has the shape"),
        (["cherry", "leaf", "sky", "sea"], "names 4 classes, and its output 'probabilities'"),
        (["cherry"], "names 1 class, and its output"),
        ([], "names no class, or one of them twice"),
        (["cherry", "leaf", "leaf"], "names no class, or one of them twice"),
    ],
)
def test_names_that_are_not_as_many_as_the_numbers_are_refused(
    names: list[str], told: str, model: Path, tmp_path: Path, call_main: Callable[..., Any]
) -> None:
    path = tmp_path / "other.onnx"
    assert told in refusal(with_classes(model, names), path)
    outcome = call_main("predict", path, tmp_path)
    assert outcome.code == 2
    assert told in outcome.err
    with pytest.raises(BundleError, match="It was altered"):
        open_answerer(path)


def described_model(probabilities: list[int | str], *, rows: list[int]) -> bytes:
    """Return a graph that claims one shape for its outputs and gives another."""
    form = {
        "schema_version": 1,
        "classes": ["a", "b", "c"],
        "preprocess": Preprocess(size_px=8).to_json(),
        "decision": {},
        "backbone": "none",
        "precision": "fp32",
        "takes": "fixed",
        "data_digest": "",
        "weights_sha256": "",
        "parity": {},
    }
    told = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, probabilities)
        for name in ("probabilities", "logits")
    ]
    shape = helper.make_tensor("shape", TensorProto.INT64, [len(rows)], rows)
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["pixels"], ["numbers"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMax", ["numbers"], ["most"], keepdims=0),
            # A shape that only running the graph tells: it is worked out from the pixels.
            helper.make_node("Cast", ["most"], ["whole"], to=TensorProto.INT64),
            helper.make_node("Sub", ["whole", "whole"], ["zero"]),
            helper.make_node("Add", ["shape", "zero"], ["later"]),
            helper.make_node("Expand", ["most", "later"], ["probabilities"]),
            helper.make_node("Identity", ["probabilities"], ["logits"]),
        ],
        "g",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["N", 8, 8, 3])],
        told,
        initializer=[shape],
    )
    opsets = [helper.make_opsetid("", 20)]
    made = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    helper.set_model_props(made, {"fieldmark": json.dumps(form)})
    return bytes(made.SerializeToString())


def test_outputs_that_are_not_settled_or_missing_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.onnx"
    assert "has the shape ['N', 'C']" in refusal(described_model(["N", "C"], rows=[1, 3]), path)
    model = plain_model()
    (described,) = onnx.load_from_string(described_model(["N", 3], rows=[1, 3])).metadata_props
    helper.set_model_props(model, {"fieldmark": described.value})
    assert "its output 'probabilities' is missing" in refusal(model.SerializeToString(), path)


def test_outputs_other_than_the_graph_claims_are_refused_when_they_come(tmp_path: Path) -> None:
    path, pixels = tmp_path / "other.onnx", np.zeros((1, 8, 8, 3), dtype=np.uint8)
    path.write_bytes(described_model(["N", 3], rows=[1, 3]))
    assert load_exported(path).of_pixels(pixels).probabilities_NC.shape == (1, 3)
    path.write_bytes(described_model(["N", 3], rows=[1, 2]))
    with pytest.raises(BundleError, match=r"names 3 classes, and its output .* shape \[1, 2\]"):
        load_exported(path).of_pixels(pixels)


def test_what_a_newer_rule_adds_may_be_missing(model: Path, tmp_path: Path) -> None:
    changed = onnx.load(model)
    (described,) = [one for one in changed.metadata_props if one.key == "fieldmark"]
    content = json.loads(described.value)
    content["decision"] = {"temperature": 2.0}
    described.value = json.dumps(content)
    onnx.save(changed, tmp_path / "old.onnx")
    assert load_exported(tmp_path / "old.onnx").form.decision.temperature == 2.0


def test_data_beside_the_file_are_never_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(np.ones(1, np.float32).tobytes())
    model = plain_model()
    tensor = model.graph.initializer.add(name="w", data_type=TensorProto.FLOAT, dims=[1])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="secret")
    model.graph.node[0].op_type = "Add"
    model.graph.node[0].input.append("w")
    assert "no ONNX model that can be run" in refusal(
        model.SerializeToString(), tmp_path / "other.onnx"
    )
