"""A server as most write it: FastAPI, eager PyTorch in float32, a photo at a time.

    python plain_server.py RUN PORT

The network, its weights and what it is shown are Fieldmark's, so that only the serving differs.
"""

import sys

import torch
import uvicorn
from fastapi import FastAPI, Request

from fieldmark.run import load


def main() -> None:
    classifier = load(sys.argv[1]).classifier
    network, preprocess = classifier.network.float().eval(), classifier.preprocess
    app = FastAPI()

    def answered(content: bytes) -> dict[str, float]:
        pixels_SS3 = preprocess.to_pixels(preprocess.decode(content).pixels_HW3)
        with torch.inference_mode():
            image_1CHW = torch.from_numpy(pixels_SS3).permute(2, 0, 1)[None]
            logits_C = network(preprocess.normalise(image_1CHW))[0]
            shares = torch.softmax(logits_C / classifier.temperature, dim=0).tolist()
        return dict(zip(classifier.classes, shares, strict=True))

    @app.post("/predict")
    async def predict(request: Request) -> dict[str, float]:
        from starlette.concurrency import run_in_threadpool

        return await run_in_threadpool(answered, await request.body())

    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="error", access_log=False)


if __name__ == "__main__":
    main()
