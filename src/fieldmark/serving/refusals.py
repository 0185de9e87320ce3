"""Requests that are not answered as asked, and why: each becomes `{"error": reason}`.

In: what is wrong. Out: an exception with a status, for routes, and a response, for guards.
"""

import json
from collections.abc import Mapping

from starlette.responses import Response


class Refused(Exception):  # noqa: N818 - the client's mistake, not ours
    """A request is refused; the message is for whoever sent it."""

    def __init__(
        self, status: int, reason: str, *, headers: Mapping[str, str] | None = None
    ) -> None:
        """Keep the status, such as 413, the reason, and further headers of the response."""
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.headers = dict(headers or {})

    def response(self) -> Response:
        """Return what is sent."""
        return error_response(self.status, self.reason, headers=self.headers)


def error_response(
    status: int, reason: str, *, headers: Mapping[str, str] | None = None
) -> Response:
    """Return `{"error": reason}` with a status."""
    content = json.dumps({"error": reason}, ensure_ascii=False)
    return Response(
        content.encode("utf-8", "replace"),
        status_code=status,
        headers=dict(headers or {}),
        media_type="application/json",
    )


def busy(wait_s: float) -> Refused:
    """Return the refusal of one request too many, which may come again after about `wait_s`."""
    seconds = max(1, min(60, round(wait_s + 0.5)))
    return Refused(
        503,
        f"All places are taken. Try again in {seconds} s.",
        headers={"Retry-After": str(seconds)},
    )
