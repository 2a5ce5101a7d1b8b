"""Policies that are written to be slow: a thousand statements, and patterns full of stars."""

from __future__ import annotations

import json
import time
from typing import Any
from uuid import uuid4

import pytest

from s3gate.iam.evaluate import Asked, Verdict, evaluate
from s3gate.iam.policy import parse
from s3gate.iam.principal import user
from tests.attacks.conftest import KEY, TREASURE, Prey
from tests.attacks.realm import Realm, allow, policy
from tests.fix_store import Store

ACCOUNT = "111111111111"
WHO = user(ACCOUNT, "f" * 64, "joe", "AIDAJOE")
ONCE_SECONDS = 0.005
"""For one decision over a thousand statements: many times what it takes, for machines that are busy."""
READ_SECONDS = 1.0
WORST_SECONDS = 0.05


def asked(action: str, resource: str, values: Any = lambda key: None) -> Asked:
    return Asked(WHO, action, f"arn:aws:s3:::{resource}", values)


def seconds_of(call: Any, times: int) -> float:
    """The best of three rounds, for one call."""
    rounds = []
    for _ in range(3):
        started = time.perf_counter()
        for _ in range(times):
            call()
        rounds.append((time.perf_counter() - started) / times)
    return min(rounds)


def test_a_thousand_statements() -> None:
    """Of which one in ten is about the action that is asked, and the last one decides."""
    actions = ["s3:PutObject", "s3:DeleteObject", "s3:ListBucket", "s3:GetObjectTagging", "s3:GetBucketPolicy"] * 2
    actions[9] = "s3:GetObject"
    statements = [allow(actions[n % 10], f"arn:aws:s3:::bucket-{n}/*", Sid=f"s{n}") for n in range(999)]
    statements.append(allow("s3:GetObject", "arn:aws:s3:::bucket/secret", "Deny", Sid="last"))
    started = time.perf_counter()
    compiled = parse(policy(*statements), "identity", limit=10**6)
    assert time.perf_counter() - started < READ_SECONDS
    denied = evaluate(asked("s3:GetObject", "bucket/secret"), identity=[compiled])
    assert (denied.verdict, denied.sid) == (Verdict.DENY, "last")
    assert not evaluate(asked("s3:GetObject", "bucket/other"), identity=[compiled]).allowed
    assert evaluate(asked("s3:GetObject", "bucket-999/other"), identity=[compiled]).allowed is False
    assert evaluate(asked("s3:GetObject", "bucket-989/other"), identity=[compiled]).allowed
    assert seconds_of(lambda: evaluate(asked("s3:GetObject", "bucket/other"), identity=[compiled]), 50) < ONCE_SECONDS


STARS = {
    "many stars": ("bucket/" + "a*" * 400 + "b", "bucket/" + "a" * 1000),
    "stars and any one": ("bucket/" + "*?" * 300 + "b", "bucket/" + "a" * 1000),
    "only stars": ("bucket/" + "*" * 900, "bucket/" + "a" * 1000),
    "nearly there": ("bucket/*" + "ab*" * 300 + "c", "bucket/" + "ab" * 500),
    "letters with accents": ("bucket/" + "é*" * 300 + "b", "bucket/" + "é" * 500),
}


@pytest.mark.parametrize("case", STARS)
def test_patterns_cost_no_more_than_they_must(case: str) -> None:
    pattern, resource = STARS[case]
    compiled = parse(policy(allow("s3:GetObject", f"arn:aws:s3:::{pattern}")), "identity", limit=10**6)
    assert seconds_of(lambda: evaluate(asked("s3:GetObject", resource), identity=[compiled]), 3) < WORST_SECONDS


def test_conditions_cost_no_more_than_they_must() -> None:
    pattern = "a*" * 400 + "b"
    condition = {
        "StringLike": {"aws:UserAgent": [pattern] * 20},
        "ForAnyValue:StringLike": {"s3:RequestObjectTagKeys": pattern},
    }
    statement = allow("s3:GetObject", "*", Condition=condition)
    compiled = parse(policy(statement), "identity", limit=10**6)

    def values(key: str) -> tuple[str, ...]:
        return ("a" * 4000,)

    question = asked("s3:GetObject", "bucket/key", values)
    assert not evaluate(question, identity=[compiled]).allowed
    assert seconds_of(lambda: evaluate(question, identity=[compiled]), 3) < 4 * WORST_SECONDS


def test_a_key_of_a_request_with_wildcards_is_text() -> None:
    compiled = parse(policy(allow("s3:GetObject", "arn:aws:s3:::bucket/${aws:UserAgent}/x")), "identity")
    for agent in ("*", "?", "b*", "\ue000", "${aws:username}", "*\ue000"):
        question = asked("s3:GetObject", "bucket/b/x", lambda key, agent=agent: (agent,))
        assert not evaluate(question, identity=[compiled]).allowed


REFUSALS = {"MalformedPolicy", "MaxMessageLengthExceeded"}
DEPTHS = [
    "[" * 100_000,
    '{"a":' * 100_000,
    '{"Version":"2012-10-17","Statement":' + "[" * 5000 + "]" * 5000 + "}",
    '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*","Condition":'
    + '{"a":' * 900,
    '{"Version":"2012-10-17","Version":"2008-10-17","Statement":[]}',
    '{"a":' + "9" * 5000 + "}",
    '{"a":1e999999}',
    "\x00",
    '"\\ud800"',
    "NaN",
]


@pytest.mark.parametrize("number", range(len(DEPTHS)))
def test_documents_that_are_none(store: Store, prey: Prey, number: int) -> None:
    """Refused as malformed, at once, by both doors."""
    document = DEPTHS[number]
    client = prey.client
    with pytest.raises(client.exceptions.ClientError) as caught:
        client.put_bucket_policy(Bucket=prey.bucket, Policy=document)
    assert caught.value.response["Error"]["Code"] in REFUSALS
    iam = Realm(store).iam
    with pytest.raises(client.exceptions.ClientError) as caught:
        iam.create_policy(PolicyName=f"p-{uuid4().hex[:8]}", PolicyDocument=document)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] in (400, 409)


def test_a_bucket_policy_as_large_as_may_be(store: Store, prey: Prey) -> None:
    """Full of the worst patterns that fit: requests go on as ever, and it still says what it says."""
    statements: list[dict[str, Any]] = []
    number = 0
    while len(policy(*statements)) < 20_000:
        pattern = f"arn:aws:s3:::{prey.bucket}/{'a*' * 40}{number}"
        statements.append(allow("s3:GetObject", pattern, "Deny", Principal="*", Sid=f"s{number}"))
        number += 1
    statements.pop()
    prey.client.put_bucket_policy(Bucket=prey.bucket, Policy=policy(*statements))
    try:
        realm = Realm(store)
        arn = f"arn:aws:s3:::{prey.bucket}/*"
        s3 = realm.client("s3", realm.user(f"reader-{uuid4().hex[:8]}", allow("s3:GetObject", arn)))
        assert s3.get_object(Bucket=prey.bucket, Key=KEY)["Body"].read() == TREASURE
        started = time.perf_counter()
        for _ in range(20):
            with pytest.raises(s3.exceptions.ClientError):
                s3.get_object(Bucket=prey.bucket, Key="a" * 1000)
        assert (time.perf_counter() - started) / 20 < 4 * WORST_SECONDS
        assert json.loads(prey.client.get_bucket_policy(Bucket=prey.bucket)["Policy"])["Version"] == "2012-10-17"
    finally:
        prey.client.delete_bucket_policy(Bucket=prey.bucket)
