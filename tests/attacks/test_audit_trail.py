"""The audit trail of a real gate: who did what to what, when, from where, with which key, and what came of it."""

from __future__ import annotations

import json
import stat
import time
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.attacks.realm import Realm, allow, policy
from tests.fix_store import Store
from tests.limits.wire import Signer, Wire

BUCKET = "watched"
LINE_SECONDS = 10.0


class Trail:
    """A store with a trail, and what is read of it."""

    def __init__(self, store: Store, path: Path) -> None:
        self.store = store
        self.path = path
        self.realm = Realm(store)
        self.s3 = store.client()

    def lines(self) -> list[dict[str, Any]]:
        text = self.path.read_text() if self.path.exists() else ""
        return [json.loads(line) for line in text.splitlines()]

    def find(self, **wanted: Any) -> dict[str, Any]:
        """The last line that says this, as soon as it is there."""
        deadline = time.monotonic() + LINE_SECONDS
        while True:
            found = [line for line in self.lines() if all(line.get(name) == value for name, value in wanted.items())]
            if found:
                return found[-1]
            assert time.monotonic() < deadline, (wanted, self.lines()[-3:])
            time.sleep(0.05)


@pytest.fixture(scope="module")
def trail(watched: Store) -> Trail:
    made = Trail(watched, Path(watched.gate_environment()["S3GATE_AUDIT_LOG"]))
    made.s3.create_bucket(Bucket=BUCKET)
    return made


def test_what_root_does(trail: Trail) -> None:
    version = trail.s3.put_object(Bucket=BUCKET, Key="a key/é", Body=b"x")["ResponseMetadata"]
    line = trail.find(operation="PutObject", key="a key/é")
    assert line["request_id"] == version["RequestId"]
    account = trail.realm.sts.get_caller_identity()["Account"]
    expected = {
        "access_key": trail.store.access_key,
        "principal": f"arn:aws:iam::{account}:root",
        "account": account,
        "remote": "127.0.0.1",
        "tls": False,
        "method": "PUT",
        "bucket": BUCKET,
        "status": 200,
    }
    assert expected.items() <= line.items()
    assert "error" not in line and "denied" not in line
    assert abs(time.time() - time.mktime(time.strptime(line["time"][:19], "%Y-%m-%dT%H:%M:%S")) + time.timezone) < 60
    assert "Boto3" in line["user_agent"]
    assert stat.S_IMODE(trail.path.stat().st_mode) == 0o600


def test_versions_and_copies(trail: Trail) -> None:
    trail.s3.create_bucket(Bucket="watched-versions")
    trail.s3.put_bucket_versioning(Bucket="watched-versions", VersioningConfiguration={"Status": "Enabled"})
    made = trail.s3.put_object(Bucket="watched-versions", Key="k", Body=b"x")["VersionId"]
    assert trail.find(operation="PutObject", key="k", bucket="watched-versions")["version_id"] == made
    trail.s3.get_object(Bucket="watched-versions", Key="k", VersionId=made)
    assert trail.find(operation="GetObject", key="k")["version_id"] == made
    trail.s3.copy_object(Bucket=BUCKET, Key="copy", CopySource={"Bucket": "watched-versions", "Key": "k"})
    assert trail.find(operation="CopyObject", key="copy")["copy_source"] == "watched-versions/k"
    marker = trail.s3.delete_object(Bucket="watched-versions", Key="k")["VersionId"]
    assert trail.find(operation="DeleteObject", key="k")["version_id"] == marker


def test_a_denial_says_by_what(trail: Trail) -> None:
    deny = allow("s3:GetObject", f"arn:aws:s3:::{BUCKET}/secret/*", "Deny", Sid="NothingSecret")
    keys = trail.realm.user("mallory", allow("s3:*", "*"), deny)
    mallory = trail.realm.client("s3", keys)
    with pytest.raises(ClientError) as refused:
        mallory.get_object(Bucket=BUCKET, Key="secret/x")
    assert "NothingSecret" not in str(refused.value.response)
    line = trail.find(operation="GetObject", key="secret/x")
    assert (line["status"], line["error"], line["access_key"]) == (403, "AccessDenied", keys["AccessKeyId"])
    assert line["principal"].endswith(":user/mallory")
    assert (line["denied"], line["denied_by"], line["sid"]) == ("explicit deny", "identity policy", "NothingSecret")
    everybody = allow("s3:DeleteObject", f"arn:aws:s3:::{BUCKET}/*", "Deny", Principal="*", Sid="KeepAll")
    trail.s3.put_bucket_policy(Bucket=BUCKET, Policy=policy(everybody))
    with pytest.raises(ClientError):
        mallory.delete_object(Bucket=BUCKET, Key="kept")
    line = trail.find(operation="DeleteObject", key="kept")
    assert (line["denied"], line["denied_by"], line["sid"]) == ("explicit deny", "resource policy", "KeepAll")
    answer = mallory.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": "many/1"}, {"Key": "many/2"}]})
    assert len(answer["Errors"]) == 2
    for key in ("many/1", "many/2"):
        line = trail.find(operation="DeleteObject", key=key)
        assert (line["error"], line["sid"], line["status"]) == ("AccessDenied", "KeepAll", 403)
    trail.s3.delete_bucket_policy(Bucket=BUCKET)
    nothing = trail.realm.client("s3", trail.realm.user("nobody-in-particular"))
    with pytest.raises(ClientError):
        nothing.list_buckets()
    assert trail.find(operation="ListBuckets", error="AccessDenied")["denied"] == "implicit deny"


def test_each_key_of_many(trail: Trail) -> None:
    keys = [f"sweep/{number}" for number in range(3)]
    trail.s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": key} for key in keys]})
    whole = trail.find(operation="DeleteObjects")
    for key in keys:
        assert trail.find(operation="DeleteObject", key=key)["request_id"]
    assert whole["status"] == 200


def test_iam_and_sts(trail: Trail) -> None:
    iam = trail.realm.iam
    iam.create_user(UserName="new")
    line = trail.find(operation="iam:CreateUser", parameters={"UserName": "new"})
    assert (line["status"], line["access_key"]) == (200, trail.store.access_key)
    made = iam.create_access_key(UserName="new")["AccessKey"]
    trail.find(operation="iam:CreateAccessKey", parameters={"UserName": "new"})
    poor = trail.realm.client("iam", made)
    with pytest.raises(ClientError):
        poor.delete_user(UserName="mallory")
    line = trail.find(operation="iam:DeleteUser", parameters={"UserName": "mallory"})
    assert (line["status"], line["error"]) == (403, "AccessDenied")
    assert line["principal"].endswith(":user/new")
    session = trail.realm.client("sts", made).get_session_token()["Credentials"]
    assert trail.find(operation="sts:GetSessionToken")["access_key"] == made["AccessKeyId"]
    guest = trail.realm.client("sts", session)
    guest.get_caller_identity()
    assert trail.find(operation="sts:GetCallerIdentity", access_key=session["AccessKeyId"])["principal"].endswith(
        "/new"
    )
    text = trail.path.read_text()
    for secret in (
        made["SecretAccessKey"],
        session["SessionToken"],
        session["SecretAccessKey"],
        trail.store.secret_key,
    ):
        assert secret not in text


def test_who_could_not_prove_it(trail: Trail) -> None:
    """A claim is written down as one: there is no principal beside it. What looks like no key is not written at all."""
    signer = Signer(trail.store)
    requests = {
        "SignatureDoesNotMatch": signer.request("GET", f"/{BUCKET}/guessed", secret_key="guess").raw,
        "InvalidAccessKeyId": signer.request("GET", f"/{BUCKET}/guessed", access_key="AKIDNOBODY0000000000").raw,
    }
    with Wire(signer.port) as wire:
        for request in requests.values():
            assert wire.ask(request).status == 403
        assert wire.ask(f"GET /{BUCKET}/open HTTP/1.1\r\nhost: h\r\n\r\n".encode()).status == 403
        odd = f"GET /{BUCKET}/odd HTTP/1.1\r\nhost: h\r\nauthorization: AWS secret word/with space:x\r\n"
        wire.ask(f"{odd}date: Mon, 01 Jan 2024 00:00:00 GMT\r\n\r\n".encode())
    for code in requests:
        line = trail.find(key="guessed", error=code)
        assert "principal" not in line and line["access_key"] in (signer.access_key, "AKIDNOBODY0000000000")
    assert trail.find(key="open")["principal"] == "anonymous"
    assert trail.find(key="odd")["access_key"] == "?"
    assert "secret word" not in trail.path.read_text()
