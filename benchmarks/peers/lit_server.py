"""LitServe serving the same network: dynamic batches, as its documentation has it.

    python lit_server.py RUN|FILE.onnx PORT

It takes an environment with litserve beside what Fieldmark needs.
"""

import base64
import sys
from typing import Any

import litserve

from fieldmark.serving.answering import open_answerer


class Photos(litserve.LitAPI):  # type: ignore[misc]  # not installed here
    """Photos in, the names of classes out."""

    def setup(self, device: str) -> None:  # noqa: ARG002 - its own
        """Load the classifier."""
        self.answerer = open_answerer(sys.argv[1])

    def decode_request(self, request):  # type: ignore[no-untyped-def]  # it reads annotations
        """Return what the network sees."""
        return self.answerer.decode(base64.b64decode(request["photo"]))

    def batch(self, inputs: list[Any]) -> list[Any]:
        """Return the photos as they are."""
        return inputs

    def predict(self, inputs: list[Any]) -> list[Any]:
        """Answer a batch."""
        return self.answerer.answer(inputs)

    def unbatch(self, outputs: list[Any]) -> list[Any]:
        """Return the answers as they are."""
        return outputs

    def encode_response(self, output: Any) -> dict[str, float]:
        """Return the classes with their probabilities."""
        return dict(output.ranking)


def main() -> None:
    api = Photos(max_batch_size=8, batch_timeout=0.002)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=2)
    server.run(port=int(sys.argv[2]), generate_client_file=False, log_level="error")


if __name__ == "__main__":
    main()
