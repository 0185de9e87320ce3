"""Features as Fieldmark computes them, in a process of its own for `features_speed.py`.

In: an .npy of photos, a backbone. Out: JSON with the seconds that it took to choose how to compute
and then to compute, what was chosen and why; and the features as an .npy.
"""

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np


def main() -> None:
    parser = argparse.ArgumentParser(description="Features by Fieldmark.")
    parser.add_argument("--pixels", type=Path, required=True, help="uint8 (N, S, S, 3)")
    parser.add_argument("--backbone", required=True)
    parser.add_argument("--weights", help="a folder in timm's form; without, random weights")
    parser.add_argument("--features", type=Path, required=True, help="where to put them")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()

    from fieldmark.models.inference import Predictor, choose_precision
    from fieldmark.planning import plan as settle
    from fieldmark.recipe import load_recipe, override
    from fieldmark.stages import build

    pixels = np.load(options.pixels, mmap_mode="r")
    recipe = override(load_recipe("finetune"), [f"data.size_px={pixels.shape[1]}"])
    weights = options.weights or "none"
    # A precision given here leaves the choice, and its time, for below.
    model = replace(recipe.model, backbone=options.backbone, weights=weights, precision="float32")
    plan = settle(replace(recipe, model=model))
    classifier, plan = build(plan, classes=("one", "other"))
    began_s = time.perf_counter()
    precision, why = choose_precision(classifier, asked="auto", device=plan.device)
    chosen_s = time.perf_counter()
    classifier = replace(
        classifier, architecture=replace(classifier.architecture, precision=precision)
    )
    predictor = Predictor(classifier, device=plan.device)
    features = predictor.features(pixels)
    ended_s = time.perf_counter()
    np.save(options.features, features)
    result = {
        "seconds": ended_s - chosen_s,
        "choosing": chosen_s - began_s,
        "precision": precision,
        "why": why,
    }
    options.out.write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main()
