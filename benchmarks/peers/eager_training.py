"""Plain training in PyTorch: what the reference scripts of torchvision and timm do in a step.

In: an .npz of photos and labels. Out: JSON with the photos a second of each epoch.
Float32, channels first, Adam as it comes, no autocast, no compiler. The photos lie in memory as
normalised tensors, so that no time at all goes to files or to a loader. Uses a CUDA GPU where
PyTorch sees one.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import timm
import torch


def main() -> None:
    parser = argparse.ArgumentParser(description="ResNet-50 in plain PyTorch.")
    parser.add_argument("--arrays", type=Path, required=True)
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    images, labels = load(options.arrays, device=device)
    torch.manual_seed(0)
    model = timm.create_model("resnet50", num_classes=int(labels.max()) + 1).to(device).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    criterion = torch.nn.CrossEntropyLoss()
    rates = []
    for _ in range(options.epochs):
        began_s = time.perf_counter()
        order = torch.randperm(len(images), device=device)
        for chosen in torch.split(order, options.batch_size):
            loss = criterion(model(images[chosen]), labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if device.type == "cuda":
            torch.cuda.synchronize()
        rates.append(len(images) / (time.perf_counter() - began_s))
    options.out.write_text(json.dumps({"photos_per_second": rates}), encoding="utf-8")


def load(path: Path, *, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Return normalised photos, channels first, and their labels."""
    arrays = np.load(path)
    images = torch.from_numpy(arrays["images"]).permute(0, 3, 1, 2).float() / 255
    return ((images - 0.5) / 0.5).contiguous().to(device), torch.from_numpy(arrays["labels"]).to(
        device
    )


if __name__ == "__main__":
    main()
