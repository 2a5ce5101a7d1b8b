"""What it costs to be let in: nothing much for the root, and little more for a user with ten policies."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable

import pytest

from s3gate.iam import principal
from s3gate.iam.policy import parse
from s3gate.identity.identity import Identity
from s3gate.operations._access import admit, admit_to_object
from s3gate.operations.exchange import Call
from s3gate.s3.credentials import Authentication, Credential, PayloadMode
from s3gate.s3.operation import resolve
from s3gate.s3.request import Request
from tests.operations.bench import ROOT, Bench
from tests.operations.fakes import NOW

POLICIES = 10
REQUESTS, TURNS = 1000, 9
MOST_MORE_US, MOST_OF_ROOT_US = 30.0, 10.0
USER = Authentication("USER", PayloadMode.UNSIGNED, scope="20261123/us-east-1/s3/aws4_request")


def documents(bucket: str) -> list[str]:
    """The last of them allows it; all of them speak of it."""
    actions = ["s3:GetObject", "s3:PutObject", "s3:ListBucket"]
    names = [*(f"other-{number}" for number in range(POLICIES - 1)), bucket]
    return [
        json.dumps(
            {
                "Version": "2012-10-17",
                "Statement": [
                    {"Effect": "Allow", "Action": actions, "Resource": [f"arn:aws:s3:::{n}", f"arn:aws:s3:::{n}/*"]},
                    {"Effect": "Deny", "Action": "s3:DeleteBucket", "Resource": "*"},
                ],
            }
        )
        for n in names
    ]


async def measured(bench: Bench, auth: Authentication, method: str, target: str) -> float:
    """Microseconds of CPU for one request, at its quickest."""
    path, _, query = target.partition("?")
    headers = [(b"host", b"gate:9000"), (b"content-length", b"5"), (b"user-agent", b"Boto3/1")]
    request = Request.parse(method, path.encode(), query.encode(), headers)
    operation = resolve(method, True, request.key != b"", request.query, request.headers)
    identity = bench.identities.remembered(auth.access_key)
    bucket, found = await bench.gate.catalog.find_object("box", b"key")
    call = Call(bench.gate, request, operation, auth, None, NOW, "REQUESTID", identity)  # type: ignore[arg-type]
    looks = operation.name == "GetObject"
    let_in: Callable[[], Awaitable[None]] = lambda: (  # noqa: E731
        admit_to_object(call, bucket, found) if looks else admit(call, bucket)
    )
    best = float("inf")
    for _ in range(TURNS):
        started = time.process_time()
        for _ in range(REQUESTS):
            await let_in()
        best = min(best, time.process_time() - started)
    return best / REQUESTS * 1e6


@pytest.mark.parametrize(("method", "target"), [("GET", "/box/key"), ("PUT", "/box/key"), ("GET", "/box?list-type=2")])
async def test_ten_policies_cost_little(bench: Bench, method: str, target: str) -> None:
    await bench.put("/box/key")
    main = bench.identities.known["ROOT"].principal
    who = principal.user(main.account_id, main.canonical_id, "user", "AIDAUSER")
    policies = tuple(parse(document, "identity") for document in documents("box"))
    bench.identities.known["USER"] = Identity(who, Credential("USER", "secret"), 1, policies)
    root, user = await measured(bench, ROOT, method, target), await measured(bench, USER, method, target)
    print(f"\n{method} {target}: root {root:.1f} us, user with {POLICIES} policies {user:.1f} us")
    assert root < MOST_OF_ROOT_US
    assert user - root < MOST_MORE_US
