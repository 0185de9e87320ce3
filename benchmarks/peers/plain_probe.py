"""The plain script to which `fieldmark train` is compared: features of timm, logistic regression.

In: photos, a split, weights. Out: JSON with the test photos that it got right, and its times.
Written as a user would write it: Pillow, timm's own transforms, the network as it comes in
float32, scikit-learn's LogisticRegression with C=1. It leaves out the catalog, the choice of a
penalty, the intervals, the report and the reusable model.
"""

import argparse
import csv
import json
import time
from pathlib import Path

import numpy as np
import timm
import torch
from PIL import Image
from sklearn.linear_model import LogisticRegression

BATCH_SIZE = 32


def main() -> None:
    parser = argparse.ArgumentParser(description="Logistic regression on features of timm.")
    parser.add_argument("photos", type=Path)
    parser.add_argument("--split-file", type=Path, required=True)
    parser.add_argument("--backbone", required=True)
    parser.add_argument("--weights", default="auto", help="auto, a folder or a .safetensors file")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()

    began_s = time.perf_counter()
    model = load_model(options.backbone, weights=options.weights)
    loaded_s = time.perf_counter()
    with options.split_file.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    features = compute_features(model, [options.photos / row["path"] for row in rows])
    computed_s = time.perf_counter()
    labels = np.array([row["label"] for row in rows])
    is_test = np.array([row["split"] == "test" for row in rows])
    classifier = LogisticRegression(C=1, max_iter=1000)
    classifier.fit(features[~is_test], labels[~is_test])
    num_correct = int((classifier.predict(features[is_test]) == labels[is_test]).sum())
    ended_s = time.perf_counter()
    result = {
        "num_correct": num_correct,
        "num_test": int(is_test.sum()),
        "seconds": {
            "model": loaded_s - began_s,
            "features": computed_s - loaded_s,
            "training": ended_s - computed_s,
        },
    }
    options.out.write_text(json.dumps(result), encoding="utf-8")


def load_model(backbone: str, *, weights: str) -> torch.nn.Module:
    """Return timm's network without its classifier, with pretrained weights."""
    if weights == "auto":
        model = timm.create_model(backbone, pretrained=True, num_classes=0)
    elif Path(weights).is_dir():
        model = timm.create_model(f"local-dir:{weights}", pretrained=True, num_classes=0)
    else:
        file = {"file": weights}
        model = timm.create_model(
            backbone, pretrained=True, pretrained_cfg_overlay=file, num_classes=0
        )
    return model.eval()  # type: ignore[no-any-return]


def compute_features(model: torch.nn.Module, paths: list[Path]) -> np.ndarray:
    """Return one row of features a photo."""
    config = timm.data.resolve_model_data_config(model)
    transform = timm.data.create_transform(**config, is_training=False)
    features = []
    with torch.inference_mode():
        for start in range(0, len(paths), BATCH_SIZE):
            images = [
                transform(Image.open(path).convert("RGB"))
                for path in paths[start : start + BATCH_SIZE]
            ]
            features.append(model(torch.stack(images)).numpy())
    return np.concatenate(features)


if __name__ == "__main__":
    main()
