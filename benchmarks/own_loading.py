"""Photos into memory as Fieldmark loads them, in a process of its own for `input_pipeline.py`.

In: a folder of photos. Out: JSON with the seconds from opening the folder to the store of all
pixels, each file's digest and its row in the catalog included; --cues measures what the audit
needs on top of that.
"""

import argparse
import json
import time
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description="Photos by Fieldmark.")
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--size-px", type=int, required=True)
    parser.add_argument("--cues", action="store_true")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()

    # Imported before the clock starts, as the peer imports all that it needs.
    from fieldmark.base.allocation import keep_memory
    from fieldmark.base.progress import SilentProgress
    from fieldmark.data.cue_cache import CueCache
    from fieldmark.data.preprocess import Preprocess
    from fieldmark.data.scan import scan

    keep_memory()  # as every command does, before torch
    import torch.nn.functional  # noqa: F401

    began_s = time.perf_counter()
    scanned = scan(
        options.photos,
        preprocess=Preprocess(size_px=options.size_px, interpolation="bilinear"),
        progress=SilentProgress(),
        cue_cache=CueCache() if options.cues else None,
    )
    seconds = time.perf_counter() - began_s
    assert scanned.store is not None
    result = {"seconds": seconds, "num_photos": len(scanned.store)}
    options.out.write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main()
