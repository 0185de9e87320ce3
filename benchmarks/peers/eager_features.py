"""Features as most scripts compute them: timm's network in float32, channels first, no_grad.

In: an .npy of photos, a backbone. Out: JSON with the seconds it took, and the features as an .npy.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import timm
import torch


def main() -> None:
    parser = argparse.ArgumentParser(description="Features in plain PyTorch.")
    parser.add_argument("--pixels", type=Path, required=True, help="uint8 (N, S, S, 3)")
    parser.add_argument("--backbone", required=True)
    parser.add_argument("--weights", help="a folder in timm's form; without, random weights")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--features", type=Path, required=True, help="where to put them")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()

    name = f"local-dir:{options.weights}" if options.weights else options.backbone
    torch.manual_seed(0)
    model = timm.create_model(name, pretrained=bool(options.weights), num_classes=0).eval()
    config = timm.data.resolve_model_data_config(model)
    mean = torch.tensor(config["mean"]).view(3, 1, 1)
    std = torch.tensor(config["std"]).view(3, 1, 1)
    pixels = np.load(options.pixels, mmap_mode="r")
    began_s = time.perf_counter()
    features = []
    with torch.no_grad():
        for start in range(0, len(pixels), options.batch_size):
            batch = torch.from_numpy(np.array(pixels[start : start + options.batch_size]))
            images = (batch.permute(0, 3, 1, 2).contiguous().float() / 255 - mean) / std
            features.append(model(images).numpy())
    seconds = time.perf_counter() - began_s
    np.save(options.features, np.concatenate(features))
    options.out.write_text(json.dumps({"seconds": seconds}), encoding="utf-8")


if __name__ == "__main__":
    main()
