"""fastai's way from a folder to a classifier: its quick start, with timm's network.

In: photos, a split, weights. Out: JSON with the test photos that it got right, and its times.
`vision_learner`, `fine_tune` and their defaults; photos are cropped to the size that the weights
were trained at, by `Resize` as the quick start has it. Learns from training and validation photos.
Needs a virtual environment of its own: `pip install fastai timm`.
"""

import argparse
import json
import time
from pathlib import Path

import pandas as pd  # type: ignore[import-untyped,import-not-found,unused-ignore]
from fastai.vision.all import (  # type: ignore[import-not-found]
    ImageDataLoaders,
    Resize,
    accuracy,
    vision_learner,
)


def main() -> None:
    parser = argparse.ArgumentParser(description="fastai's fine_tune.")
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--split-file", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True, help="a folder in timm's form")
    parser.add_argument("--size-px", type=int, default=224)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()

    began_s = time.perf_counter()
    table = pd.read_csv(options.split_file)
    learned = table[table["split"] != "test"].assign(is_valid=False)
    watched = table[table["split"] == "validation"].assign(is_valid=True)
    loaders = ImageDataLoaders.from_df(
        pd.concat([learned, watched]),
        options.photos,
        fn_col="path",
        label_col="label",
        valid_col="is_valid",
        item_tfms=Resize(options.size_px),
    )
    learner = vision_learner(loaders, f"local-dir:{options.weights}", metrics=accuracy)
    learner.fine_tune(options.epochs)
    trained_s = time.perf_counter()
    test = table[table["split"] == "test"]
    scores, truth = learner.get_preds(dl=loaders.test_dl(test, with_labels=True))
    ended_s = time.perf_counter()
    result = {
        "num_correct": int((scores.argmax(1) == truth).sum()),
        "num_test": len(test),
        "seconds": {"training": trained_s - began_s, "test": ended_s - trained_s},
    }
    options.out.write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main()
