"""Photos into memory as torchvision's reference scripts load them: ImageFolder and a DataLoader.

In: a folder of photos. Out: JSON with the seconds from opening the folder to one uint8 tensor of
all photos. Pillow decodes, and reduces to a square with an antialiased bilinear filter.
"""

import argparse
import json
import time
import warnings
from pathlib import Path

import torch
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import Compose, PILToTensor, Resize


def main() -> None:
    parser = argparse.ArgumentParser(description="ImageFolder and DataLoader.")
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--size-px", type=int, required=True)
    parser.add_argument("--num-workers", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()

    warnings.simplefilter("ignore")
    side = options.size_px
    began_s = time.perf_counter()
    dataset = ImageFolder(
        str(options.photos), transform=Compose([Resize((side, side)), PILToTensor()])
    )
    loader = DataLoader(dataset, batch_size=32, num_workers=options.num_workers)
    pixels = torch.empty((len(dataset), 3, side, side), dtype=torch.uint8)
    done = 0
    for images, _ in loader:
        pixels[done : done + len(images)] = images
        done += len(images)
    seconds = time.perf_counter() - began_s
    result = {"seconds": seconds, "num_photos": done}
    options.out.write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main()
