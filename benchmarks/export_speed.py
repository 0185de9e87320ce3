"""How fast exported files predict, beside the same network in plain PyTorch.

In: a finished run whose photos are at hand. Out: one Markdown row a network on standard output;
with --record the same rows stand in the table of benchmarks/README.md.
All programs get the same pixels of the same test photos, decoded and resized beforehand, and all
cores. PyTorch runs the network eagerly in float32 in batches of whichever size is fastest for it;
ONNX Runtime gets batches of 8 on a thread a core, as `fieldmark predict` gives them. What 8 bits
cost is measured on all test photos. ResNet-50 has random weights, so it has no accuracy.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from conditions import (
    add_common,
    existing,
    machine,
    median_and_range,
    pin,
    require_folder,
    take_turns,
    today,
)
from fieldmark.base.executor import ThreadExecutor, available_cores
from fieldmark.evaluation.parity import measure_parity
from fieldmark.evaluation.predictions import Predictions
from fieldmark.exported import ExportedModel, Outputs, joined
from fieldmark.models.backbones import create_extractor
from fieldmark.models.classifier import Architecture, Classifier, new_classifier
from fieldmark.models.export import describe, export_fixed, taking_images
from fieldmark.models.exported_form import ExportedForm
from fieldmark.models.quantise import NUM_CALIBRATION, quantised
from fieldmark.run import load
from fieldmark.run_photos import RunPhotos, photos_of
from figures_table import FiguresTable

TABLE = FiguresTable(
    name="export_speed",
    header=(
        "Network",
        "PyTorch eager float32, photos/s",
        "ONNX float32, times as fast",
        "ONNX int8, photos/s",
        "ONNX int8, times as fast",
        "Accuracy float32",
        "Points lost by int8",
        "MB float32 and int8",
        "Machine",
        "Date",
    ),
    num_keys=1,
)
BATCH = 8
EAGER_BATCHES = (1, 8, 32, 128)
EAGER, FLOAT32, INT8 = "PyTorch eager", "ONNX float32", "ONNX int8"
Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What is asked for on the command line."""

    run: Path
    photos: Path | None
    num_photos: int
    resnet50: bool
    threads: int | None
    repeats: int
    record: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A classifier and the photos that it is measured with."""

    name: str
    classifier: Classifier
    test_NSS3: Pixels
    train_NSS3: Pixels
    labels_N: NDArray[np.int64] | None
    """None where its weights are random."""


def main() -> None:
    options = parse_options(sys.argv[1:])
    pin(options.threads)
    run = load(options.run)
    assert run.path is not None
    photos = photos_of(run.path, root=options.photos)
    cases = [case_of(run.classifier, photos)]
    if options.resnet50:
        cases.append(untrained(cases[0]))
    rows = []
    for case in cases:
        rows.append(measure(case, num_photos=options.num_photos, repeats=options.repeats))
        print(TABLE.lines(rows)[-1], file=sys.stderr)
    print("\n".join(TABLE.lines(rows)))
    if options.record:
        TABLE.record(rows)


def parse_options(arguments: Sequence[str]) -> Options:
    """Read the command line; exits with 2 and a message where it makes no sense."""
    parser = argparse.ArgumentParser(description="Measure exported files beside plain PyTorch.")
    parser.add_argument("run", type=Path, help="a finished run")
    parser.add_argument("--photos", type=existing, help="where its photos are, if they have moved")
    parser.add_argument(
        "--num-photos", type=int, default=256, metavar="N", help="of a round; default: 256"
    )
    parser.add_argument(
        "--resnet50", action="store_true", help="measure a ResNet-50 of random weights as well"
    )
    add_common(parser, repeats=5)
    options = Options(**vars(parser.parse_args(arguments)))
    require_folder(parser, options.run)
    return options


def case_of(classifier: Classifier, photos: RunPhotos) -> Case:
    """Return a run's classifier with its test photos, and training photos to take ranges from."""
    index = {name: number for number, name in enumerate(classifier.classes)}
    train = np.random.default_rng(0).permutation(photos.splits["train"])[:NUM_CALIBRATION]
    test = photos.splits["test"]

    def pixels(paths: Sequence[str]) -> Pixels:
        def read(path: str) -> Pixels:
            decoded = classifier.preprocess.decode(photos.read(path))
            return classifier.preprocess.to_pixels(decoded.pixels_HW3)

        return np.stack(list(ThreadExecutor().map(read, paths)))

    return Case(
        name=f"{classifier.architecture.backbone}, {classifier.preprocess.size_px} px",
        classifier=classifier,
        test_NSS3=pixels(test),
        train_NSS3=pixels(train.tolist()),
        labels_N=np.array([index[photos.labels[path]] for path in test], np.int64),
    )


def untrained(case: Case) -> Case:
    """Return the same photos with a ResNet-50 of random weights."""
    architecture = Architecture(
        backbone="resnet50", backbone_args={}, stages=0, feature_power=1.0, precision="float32"
    )
    classifier = new_classifier(
        create_extractor("resnet50", args={}, stages=0, power=1.0),
        architecture=architecture,
        preprocess=case.classifier.preprocess,
        classes=case.classifier.classes,
        generator=torch.Generator().manual_seed(0),
    )
    name = f"resnet50, {case.classifier.preprocess.size_px} px, random weights"
    return replace(case, name=name, classifier=classifier, labels_N=None)


def measure(case: Case, *, num_photos: int, repeats: int) -> tuple[str, ...]:
    """Measure one network; return its row."""
    fixed = export_fixed(case.classifier)
    models = {FLOAT32: fixed, INT8: quantised(fixed, case.train_NSS3)}
    files = {name: ready(model, case.classifier) for name, model in models.items()}
    some_NSS3 = case.test_NSS3[
        np.sort(np.random.default_rng(0).permutation(len(case.test_NSS3))[:num_photos])
    ]
    programs = {EAGER: eager(case.classifier, some_NSS3)}
    programs |= {name: onnx_on_threads(file, some_NSS3) for name, (file, _) in files.items()}
    for run in programs.values():
        run(Path())  # the first time is for memory and kernels
    results = take_turns(programs, repeats=repeats)
    rates = {name: [len(some_NSS3) / one for one in each] for name, each in results.items()}

    def faster(name: str) -> str:
        pairs = zip(rates[name], rates[EAGER], strict=True)
        return median_and_range([one / other for one, other in pairs], digits=2)

    accuracy, lost = accuracies(case, files[FLOAT32][0], files[INT8][0])
    return (
        case.name,
        median_and_range(rates[EAGER]),
        faster(FLOAT32),
        median_and_range(rates[INT8]),
        faster(INT8),
        accuracy,
        lost,
        f"{files[FLOAT32][1] / 1e6:.1f} and {files[INT8][1] / 1e6:.1f}",
        machine(),
        today(),
    )


def ready(fixed: object, classifier: Classifier) -> tuple[ExportedModel, int]:
    """Return a file as it would be written, opened, and its bytes."""
    model = taking_images(fixed, classifier)  # type: ignore[arg-type]
    form = ExportedForm(
        classes=classifier.classes,
        preprocess=classifier.preprocess,
        decision=classifier.decision,
        backbone=classifier.architecture.backbone,
        precision="",
        takes="any",
        data_digest="",
        weights_sha256="",
        parity={},
    )
    describe(model, form)
    content = model.SerializeToString()
    return ExportedModel(content, path=Path("measured.onnx")), len(content)


def eager(classifier: Classifier, pixels_NSS3: Pixels) -> Callable[[Path], float]:
    """Return PyTorch as it comes, in batches of the size at which it is fastest."""
    network, preprocess = classifier.network.float().eval(), classifier.preprocess
    torch.set_num_threads(available_cores())

    def run(size: int, chosen_NSS3: Pixels) -> float:
        began_s = time.perf_counter()
        with torch.inference_mode():
            for start in range(0, len(chosen_NSS3), size):
                batch = torch.from_numpy(chosen_NSS3[start : start + size]).permute(0, 3, 1, 2)
                torch.softmax(network(preprocess.normalise(batch)), dim=1)
        return time.perf_counter() - began_s

    trial = pixels_NSS3[: max(EAGER_BATCHES)]
    seconds = {size: min(run(size, trial) for _ in range(2)) for size in EAGER_BATCHES}
    best = min(seconds, key=seconds.__getitem__)
    print(f"PyTorch is fastest in batches of {best}", file=sys.stderr)
    return lambda _: run(best, pixels_NSS3)


def onnx_on_threads(model: ExportedModel, pixels_NSS3: Pixels) -> Callable[[Path], float]:
    """Return a file at work on a batch a core."""

    def run(_: Path) -> float:
        began_s = time.perf_counter()
        said(model, pixels_NSS3)
        return time.perf_counter() - began_s

    return run


def said(model: ExportedModel, pixels_NSS3: Pixels) -> Outputs:
    """Return what a file says of photos."""
    batches = [pixels_NSS3[start : start + BATCH] for start in range(0, len(pixels_NSS3), BATCH)]
    return joined(list(ThreadExecutor().map(model.of_pixels, batches)))


def accuracies(case: Case, float32: ExportedModel, int8: ExportedModel) -> tuple[str, str]:
    """Return the accuracy on all test photos, and how many points 8 bits cost."""
    if case.labels_N is None:
        return "-", "-"
    tables, classes = [], case.classifier.classes
    for model in (float32, int8):
        outputs = said(model, case.test_NSS3)
        table = Predictions(
            paths=tuple(str(number) for number in range(len(case.test_NSS3))),
            splits=np.array(["test"] * len(case.test_NSS3)),
            labels_N=case.labels_N,
            classes=classes,
            logits_NC=outputs.logits_NC.astype(np.float32),
        )
        tables.append(table)
    parity = measure_parity(tables[0], tables[1], tables[1].probabilities_NC)
    assert parity.accuracy is not None
    assert parity.accuracy_lost is not None
    lost = parity.accuracy_lost
    value, low, high = (100 * part + 0.0 for part in (lost.value, lost.low, lost.high))
    return f"{100 * parity.accuracy:.2f} %", f"{value:.2f} ({low:.2f} to {high:.2f})"


if __name__ == "__main__":
    main()
