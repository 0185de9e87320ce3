"""Every route held against its own description: schemathesis, 200 examples an operation.

No answer may be a 5xx (but a 503 that is described), of a status, a type or a shape that the
description does not name.

    python benchmarks/serve_contract.py RUN|FILE.onnx [EXAMPLES]
"""

import sys
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

EXAMPLES = 200
TEST_HOST = "testserver"
"""What schemathesis calls an application that it asks within its own process."""


@dataclass(kw_only=True)
class Contract:
    """What came of trying the routes."""

    examples: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    @property
    def num_operations(self) -> int:
        """How many were tried."""
        return len(self.examples)


def check_contract(app: Any, *, num_examples: int, seed: int = 0) -> Contract:
    """Return what came of trying each operation of an application with generated requests."""
    import schemathesis
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import seed as seeded
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi.checks import (
        content_type_conformance,
        response_headers_conformance,
        response_schema_conformance,
        status_code_conformance,
        unsupported_method,
    )

    checks = [
        not_a_server_error,
        content_type_conformance,
        response_headers_conformance,
        response_schema_conformance,
        status_code_conformance,
        unsupported_method,
    ]
    found = Contract()
    schema = schemathesis.openapi.from_asgi("/openapi.json", app)
    strict = settings(
        max_examples=num_examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )

    def tried(case: Any) -> None:
        response = case.call()
        found.examples[case.operation.label] += 1
        found.statuses[response.status_code] += 1
        case.validate_response(response, checks=checks)

    for result in schema.get_all_operations():
        operation: Any = result.ok()  # type: ignore[union-attr]  # ours is no invalid schema
        try:
            seeded(seed)(strict(given(case=operation.as_strategy())(tried)))()
        except BaseException as error:  # noqa: BLE001 - groups of failures, told together
            found.failures.append(f"{operation.label}: {error}")
    return found


def main() -> None:
    from starlette.testclient import TestClient

    from fieldmark.serving.answering import open_answerer
    from fieldmark.serving.app import build_app
    from fieldmark.serving.guards import guard_config
    from fieldmark.serving.lifecycle import Lifecycle
    from fieldmark.serving.service import Service, ServiceConfig

    num_examples = int(sys.argv[2]) if len(sys.argv) > 2 else EXAMPLES
    service = Service(open_answerer(sys.argv[1]), ServiceConfig())
    guard = guard_config("127.0.0.1", token=None, allow_hosts=(TEST_HOST,))
    app = build_app(service, guard=guard, lifecycle=Lifecycle())
    with TestClient(app, base_url="http://127.0.0.1:8000"):
        found = check_contract(app, num_examples=num_examples)
    for name, count in found.examples.items():
        print(f"{name}: {count:,} examples")
    print("statuses:", dict(sorted(found.statuses.items())))
    print(f"{len(found.failures)} failures")
    for failure in found.failures:
        print(failure)
    sys.exit(bool(found.failures))


if __name__ == "__main__":
    main()
