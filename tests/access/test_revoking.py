"""Changes of identities hold at once, on both gates: what begins after the revoking call has returned is refused.

Four threads ask a gate each of everything that a user may do, all the time; the change is made through the one gate or
the other, in their midst.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from tests.access.world import (
    ALLOWED,
    IDENTITIES,
    MAIN,
    MAIN_ACCOUNT,
    Holder,
    User,
    World,
    allow,
    deny,
    everything,
    outcome,
    policy,
)

ANSWERS = 40
"""How many there are before the change, and again after it: more than each thread has kinds of requests."""
MOST_SECONDS = 30
THREADS = 2
Revoke = Callable[[Any, User], None]


class Hammer:
    """Asks until it is stopped, and knows when each request began and what became of it."""

    def __init__(self, who: Holder, bucket: str, upload_id: str) -> None:
        self.who, self.bucket, self.upload_id = who, bucket, upload_id
        self.answers: list[tuple[float, str, str]] = []
        self.stopping = threading.Event()

    def asks(self, gate: int, thread: int) -> Iterator[tuple[str, Callable[[], Any]]]:
        s3, named = self.who.client(gate=gate), {"Bucket": self.bucket, "Key": f"key-{gate}-{thread}"}
        part = {"Bucket": self.bucket, "Key": "big", "UploadId": self.upload_id, "PartNumber": 1}
        yield "put", lambda: s3.put_object(**named, Body=b"hello")
        yield "get", lambda: s3.get_object(**named)
        yield "list", lambda: s3.list_objects_v2(Bucket=self.bucket, MaxKeys=1)
        yield "part", lambda: s3.upload_part(**part, Body=b"part")
        yield "copy", lambda: s3.copy_object(**{**named, "Key": "copy"}, CopySource=f"{self.bucket}/{named['Key']}")
        yield "tag", lambda: s3.put_object_tagging(**named, Tagging={"TagSet": []})
        yield "delete", lambda: s3.delete_object(**named)
        yield "buckets", lambda: s3.list_buckets()
        yield "missing", lambda: s3.delete_object(Bucket=self.bucket, Key="missing")
        yield "again", lambda: s3.complete_multipart_upload(**{k: part[k] for k in ("Bucket", "Key", "UploadId")})

    def run(self, gate: int, thread: int) -> None:
        for name, ask in cycle(list(self.asks(gate, thread))):
            if self.stopping.is_set():
                return
            began = time.monotonic()
            self.answers.append((began, name, outcome(ask)))

    def wait(self, count: int) -> None:
        """Until there are so many answers."""
        deadline = time.monotonic() + MOST_SECONDS
        while len(self.answers) < count:
            assert time.monotonic() < deadline
            time.sleep(0.01)

    @contextmanager
    def running(self) -> Iterator[None]:
        threads = [
            threading.Thread(target=self.run, args=(gate, number)) for gate in range(2) for number in range(THREADS)
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self.stopping.set()
            for thread in threads:
                thread.join()


def _deactivate(iam: Any, user: User) -> None:
    iam.update_access_key(UserName=user.name, AccessKeyId=user.keys[0], Status="Inactive")


def _delete_key(iam: Any, user: User) -> None:
    iam.delete_access_key(UserName=user.name, AccessKeyId=user.keys[0])


def _drop_policy(iam: Any, user: User) -> None:
    iam.delete_user_policy(UserName=user.name, PolicyName="own")


def _deny(iam: Any, user: User) -> None:
    document = policy(deny("s3:*"))
    iam.put_user_policy(UserName=user.name, PolicyName="denies", PolicyDocument=document)


def _bound(iam: Any, user: User) -> None:
    iam.put_user_permissions_boundary(
        UserName=user.name, PermissionsBoundary="arn:aws:iam::aws:policy/IAMReadOnlyAccess"
    )


def _leave(iam: Any, user: User) -> None:
    iam.remove_user_from_group(UserName=user.name, GroupName=f"g-{user.name}")


REVOCATIONS: dict[str, Revoke] = {
    "key deactivated": _deactivate,
    "key deleted": _delete_key,
    "policy removed": _drop_policy,
    "policy denies": _deny,
    "boundary": _bound,
    "group left": _leave,
}


@pytest.fixture
def bucket(world: World) -> str:
    return world.bucket()


def begin(world: World, bucket: str) -> str:
    return str(world.of(MAIN).s3.create_multipart_upload(Bucket=bucket, Key="big")["UploadId"])


def hammered(world: World, who: Holder, bucket: str, revoke: Callable[[int], None], gate: int) -> None:
    """Lets it run, revokes through this gate, and judges what began afterwards."""
    hammer = Hammer(who, bucket, begin(world, bucket))
    with hammer.running():
        hammer.wait(ANSWERS)
        revoke(gate)
        revoked = time.monotonic()
        hammer.wait(len(hammer.answers) + ANSWERS)
    before = [(name, code) for began, name, code in hammer.answers if began < revoked]
    after = [(name, code) for began, name, code in hammer.answers if began > revoked]
    assert {name for name, code in before if code == ALLOWED} >= {"put", "get"}
    assert len(after) >= ANSWERS - 2 * THREADS
    let_in = [each for each in after if each[1] not in ("AccessDenied", "InvalidAccessKeyId")]
    assert not let_in


@pytest.mark.parametrize("how", REVOCATIONS)
def test_what_is_revoked_is_refused_at_once(world: World, bucket: str, how: str) -> None:
    gate = list(REVOCATIONS).index(how) % 2
    user, iam = world.user(), world.of(MAIN).client("iam", gate=gate)
    if how == "group left":
        group = f"g-{user.name}"
        iam.create_group(GroupName=group)
        iam.put_group_policy(GroupName=group, PolicyName="own", PolicyDocument=policy(allow("s3:*")))
        iam.add_user_to_group(UserName=user.name, GroupName=group)
    else:
        user.let(allow("s3:*"))
    hammered(world, user, bucket, lambda _: REVOCATIONS[how](iam, user), gate)


def test_the_first_request_after_it(world: World, bucket: str) -> None:
    """Of a gate that remembers both bucket and user as they were: nothing is answered before it has looked."""
    main, user = world.of(MAIN).s3, world.user()
    main.put_object(Bucket=bucket, Key="key", Body=b"")
    done = begin(world, bucket)
    part = main.upload_part(Bucket=bucket, Key="big", UploadId=done, PartNumber=1, Body=b"")["ETag"]
    whole = {"Bucket": bucket, "Key": "big", "UploadId": done}
    whole["MultipartUpload"] = {"Parts": [{"PartNumber": 1, "ETag": part}]}
    main.complete_multipart_upload(**whole)
    s3, named = user.client(gate=1), {"Bucket": bucket, "Key": "key"}
    asks: list[Callable[[], Any]] = [
        lambda: s3.put_object(**named, Body=b"", IfNoneMatch="*"),
        lambda: s3.put_object(**named, Body=b"", IfMatch='"0"'),
        lambda: s3.put_object(Bucket=bucket, Key="new", Body=b"x"),
        lambda: s3.delete_object(Bucket=bucket, Key="missing"),
        lambda: s3.delete_object(Bucket=bucket, Key="missing", VersionId="null"),
        lambda: s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "missing"}]}),
        lambda: s3.copy_object(**named, CopySource=f"{bucket}/missing"),
        lambda: s3.copy_object(**named, CopySource=f"{bucket}/key", CopySourceIfMatch='"0"'),
        lambda: s3.create_multipart_upload(**named),
        lambda: s3.complete_multipart_upload(**whole),
        lambda: s3.abort_multipart_upload(Bucket=bucket, Key="big", UploadId=done),
        lambda: s3.get_object(Bucket=bucket, Key="missing"),
        lambda: s3.get_object(**named, IfMatch='"0"'),
        lambda: s3.list_objects_v2(Bucket=bucket),
        lambda: s3.list_buckets(),
    ]
    for ask in asks:
        user.let(allow("s3:*"))
        s3.head_bucket(Bucket=bucket)
        user.let(allow("s3:GetBucketTagging"))
        assert outcome(ask) == "AccessDenied"
    user.let(allow("s3:*"))
    assert outcome(asks[9]) == ALLOWED
    _deactivate(user.iam, user)
    for ask in asks:
        assert outcome(ask) == "InvalidAccessKeyId"


def test_a_user_who_is_deleted(world: World, bucket: str) -> None:
    """AWS has the user's keys and policies go first; by then nothing is left."""
    user, iam = world.user(), world.of(MAIN).client("iam", gate=1)
    user.let(allow("s3:*"))

    def delete(_: int) -> None:
        _delete_key(iam, user)
        _drop_policy(iam, user)
        iam.delete_user(UserName=user.name)

    hammered(world, user, bucket, delete, 1)


@pytest.mark.parametrize("gone", ["role", "policy", "key of a session"])
def test_sessions_end_with_what_they_stand_for(world: World, bucket: str, gone: str) -> None:
    main, user = world.of(MAIN), world.user()
    iam, name = main.client("iam", gate=1), f"r-{user.name}"
    if gone == "key of a session":
        user.let(allow("s3:*"))
        found = user.client("sts").get_session_token()["Credentials"]
    else:
        trust = policy({"Effect": "Allow", "Principal": {"AWS": MAIN_ACCOUNT}, "Action": "sts:AssumeRole"})
        role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]["Arn"]
        iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=policy(allow("s3:*")))
        user.let(allow("sts:AssumeRole", role))
        found = user.client("sts").assume_role(RoleArn=role, RoleSessionName="session")["Credentials"]
    session = world.of((found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"]))

    def revoke(_: int) -> None:
        if gone == "key of a session":
            _deactivate(iam, user)
            return
        iam.delete_role_policy(RoleName=name, PolicyName="own")
        if gone == "role":
            iam.delete_role(RoleName=name)

    hammered(world, session, bucket, revoke, 1)


def test_a_bucket_policy_that_goes(world: World, bucket: str) -> None:
    """The same of what a bucket's own policy gave."""
    user = world.user()
    world.let(bucket, allow("s3:*", everything(bucket), Principal={"AWS": user.arn}))
    user.let(allow("s3:ListAllMyBuckets"))

    def revoke(gate: int) -> None:
        world.of(MAIN).client(gate=gate).delete_bucket_policy(Bucket=bucket)
        user.let(deny("s3:ListAllMyBuckets"))

    hammered(world, user, bucket, revoke, 1)


def test_a_key_with_another_secret(world: World, bucket: str, tmp_path: Path) -> None:
    """Both gates remember the old one."""
    given = IDENTITIES(world.store.access_key, world.store.secret_key)["accounts"][0]
    for secret in ("first-secret-first-secret", "second-secret-second-secret"):
        keys = [{"access_key": "AKIDTURNING000000000", "secret_key": secret}]
        user = {"name": "turning", "keys": keys, "policies": ["AmazonS3FullAccess"]}
        file = tmp_path / f"{secret}.json"
        file.write_text(json.dumps({"accounts": [{**given, "users": [user]}]}))
        assert world.store.admin("apply", str(file)).returncode == 0
        holder = world.of(("AKIDTURNING000000000", secret, ""))
        for gate in range(2):
            assert outcome(lambda gate=gate, holder=holder: holder.client(gate=gate).head_bucket(Bucket=bucket)) == ""
    old = world.of(("AKIDTURNING000000000", "first-secret-first-secret", ""))
    for gate in range(2):
        refused = outcome(lambda gate=gate: old.client(gate=gate).list_buckets())
        assert refused == "SignatureDoesNotMatch"


def test_what_is_given_holds_at_once_too(world: World, bucket: str) -> None:
    user = world.user()
    for turn in range(6):
        gate = turn % 2
        client = user.client(gate=gate)
        assert outcome(lambda client=client: client.put_object(Bucket=bucket, Key="k", Body=b"")) == "AccessDenied"
        user.let(allow("s3:PutObject"))
        for each in (user.client(gate=gate), user.client(gate=1 - gate)):
            assert outcome(lambda each=each: each.put_object(Bucket=bucket, Key="k", Body=b"")) == ALLOWED
        user.iam.delete_user_policy(UserName=user.name, PolicyName="own")
