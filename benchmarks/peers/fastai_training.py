"""fastai from end to end: its data loaders over files, its learner, its training loop.

In: a folder of photos and a split. Out: JSON with the photos a second of each epoch.
Needs a virtual environment of its own: `pip install fastai timm`.
"""

import argparse
import json
import time
from pathlib import Path

import pandas as pd  # type: ignore[import-untyped,import-not-found,unused-ignore]
from fastai.vision.all import (  # type: ignore[import-not-found]
    Callback,
    ImageDataLoaders,
    accuracy,
    resnet50,
    vision_learner,
)


class TrainTimes(Callback):  # type: ignore[misc]
    """Notes how long the training part of each epoch takes."""

    def before_train(self) -> None:
        """Start the clock."""
        self.began_s = time.perf_counter()

    def after_train(self) -> None:
        """Stop it; validation comes next."""
        self.learn.train_seconds.append(time.perf_counter() - self.began_s)


def main() -> None:
    parser = argparse.ArgumentParser(description="ResNet-50 in fastai.")
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--split-file", type=Path, required=True)
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()

    table = pd.read_csv(options.split_file)
    table = table[table["split"] != "test"]
    table["is_valid"] = table["split"] == "validation"
    loaders = ImageDataLoaders.from_df(
        table,
        options.photos,
        fn_col="path",
        label_col="label",
        valid_col="is_valid",
        bs=options.batch_size,
    )
    # Without pretrained weights nothing is frozen.
    learner = vision_learner(loaders, resnet50, pretrained=False, metrics=accuracy)
    learner.train_seconds = []
    learner.fit_one_cycle(options.epochs, 1e-3, cbs=TrainTimes())
    # The training loader leaves the last, incomplete batch out.
    num_photos = len(loaders.train) * options.batch_size
    rates = [num_photos / seconds for seconds in learner.train_seconds]
    options.out.write_text(json.dumps({"photos_per_second": rates}), encoding="utf-8")


if __name__ == "__main__":
    main()
