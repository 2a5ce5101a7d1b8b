"""Everything secret that can be sent to a store is sent, well and wrongly; afterwards it is nowhere to be found.

Searched are all files of the store (logs, audit trail, Postgres' own files and its log, the nodes' shards), every table
of the database, the metrics, and the command lines of all processes.
"""

from __future__ import annotations

import contextlib
import json
import re
import secrets
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from hashlib import md5
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import psycopg
import pytest
import urllib3
from botocore.exceptions import BotoCoreError, ClientError

from tests.attacks.realm import Realm, allow, policy
from tests.fix_store import MakeStore, Store

BUCKET, KEY = "a-bucket-of-secrets", "known-name-of-an-object"
PASSWORD, OTHER_PASSWORD, TOKEN = (
    "Pa55word-never-to-be-seen",
    "Pa55word-that-is-not-right",
    "eyJhbGciOiJSUzI1NiJ9.e30.c2lnbmF0dXJl",
)
MIB = 1 << 20
_SIGNATURE = re.compile(r"Signature=([0-9a-zA-Z%+/=]{20,})|^AWS [^:]+:(\S+)")
_TEXT_TYPES = (".key", "kms.json")


class Secrets:
    """What nobody may find, by name."""

    def __init__(self) -> None:
        self.known: dict[str, bytes] = {}

    def add(self, name: str, value: str | bytes) -> None:
        data = value.encode() if isinstance(value, str) else value
        assert len(data) >= 16, (name, value)
        self.known[name] = data

    def forms(self) -> Iterator[tuple[str, bytes]]:
        """Each as it is, and as text has it that was encoded on the way."""
        for name, data in self.known.items():
            encoded = [data, quote(data, safe="").encode(), json.dumps(data.decode("latin-1"))[1:-1].encode()]
            if not data.isascii():
                whole = len(data) // 3 * 4
                encoded += [data.hex().encode(), b64encode(data)[:whole], urlsafe_b64encode(data)[:whole]]
            yield from ((name, form) for form in dict.fromkeys(encoded))

    def found_in(self, data: bytes) -> list[str]:
        return [name for name, form in self.forms() if form in data]

    def watch(self, client: Any, name: str) -> Any:
        """Every signature that the client sends is a secret from now on."""

        def see(request: Any, **_: Any) -> None:
            sent = str(request.headers.get("Authorization") or request.url)
            self.see(f"{name}'s signature {len(self.known)}", sent)

        client.meta.events.register("before-send", see)
        return client

    def see(self, name: str, text: str) -> None:
        for found in _SIGNATURE.finditer(unquote(text) if "://" in text else text):
            self.add(name, found[1] or found[2])


@pytest.fixture(scope="module")
def store(make_module_store: MakeStore, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """One of its own, with every log there is."""
    logs = tmp_path_factory.mktemp("logs")
    settings = {
        "access_log": str(logs / "access.log"),
        "audit_log": str(logs / "audit.log"),
        "sse_c_over_http": "on",
        "failed_signatures_per_minute": "0",
    }
    made = make_module_store(own_postgres=True, start=False, gate_settings=settings)
    (made.home / "logs").symlink_to(logs)
    made.start()
    return made


@pytest.fixture(scope="module")
def hidden(store: Store) -> Secrets:
    """Everything is sent; then some of it while there is no database."""
    found = Secrets()
    found.add("root's secret", store.secret_key)
    realm = Realm(store)
    root = found.watch(store.client(), "root")
    root.create_bucket(Bucket=BUCKET)
    root.put_object(Bucket=BUCKET, Key=KEY, Body=b"content")
    user = realm.user("joe", allow("s3:*", "*"), allow("sts:*", "*"))
    found.add("joe's secret", user["SecretAccessKey"])
    session = found.watch(realm.client("sts", user), "joe").get_session_token()["Credentials"]
    found.add("the session's secret", session["SecretAccessKey"])
    found.add("the session's token", session["SessionToken"])
    joe = found.watch(realm.client("s3", user), "joe")
    guest = found.watch(realm.client("s3", session), "guest")
    everything: list[Callable[[], None]] = [
        lambda: _links(found, [root, joe, guest]),
        lambda: _customer_keys(found, joe),
        lambda: _forms(found, [root, guest]),
        lambda: _tokens(found, realm, session),
        lambda: _identities(found, realm, store, user),
    ]
    for each in everything:
        each()
    assert store.postgres is not None
    store.postgres.stop()
    _outage(found, guest)
    store.start()
    assert guest.get_object(Bucket=BUCKET, Key=KEY)["Body"].read() == b"content"
    return found


POOL = urllib3.PoolManager(retries=False, timeout=5.0)


def _links(found: Secrets, clients: list[Any]) -> None:
    """Presigned URLs of all kinds, used as they are, changed, and used for something else."""
    for client in clients:
        for method, name in (("get_object", "GET"), ("put_object", "PUT"), ("delete_object", "DELETE")):
            url = client.generate_presigned_url(method, Params={"Bucket": BUCKET, "Key": f"{KEY}-link"}, ExpiresIn=300)
            found.see(f"a link {len(found.known)}", url)
            for changed in (url, url + "0", url.replace("-link", "-lint"), url + "&X-Amz-Algorithm=x&Signature=y"):
                POOL.request(name, changed, body=b"x" if name == "PUT" else None)
            POOL.request("POST", url, body=b"x")
            POOL.request(name, url, headers={"authorization": "Bearer " + PASSWORD, "x-amz-meta-a": "b"})
    found.add("a password", PASSWORD)


def _customer_keys(found: Secrets, client: Any) -> None:
    """Keys of customers: right, wrong, malformed, in copies, parts and links."""
    key, other = secrets.token_bytes(32), secrets.token_bytes(32)
    found.add(f"a customer's key {len(found.known)}", key)
    found.add(f"a customer's key {len(found.known)}", other)
    where = {"Bucket": BUCKET, "Key": f"{KEY}-sealed"}
    mine, theirs = ({"SSECustomerAlgorithm": "AES256", "SSECustomerKey": one} for one in (key, other))
    client.put_object(**where, Body=b"sealed " * 1000, **mine)
    assert client.get_object(**where, **mine)["Body"].read().startswith(b"sealed")
    for wrong in (theirs, {"SSECustomerAlgorithm": "AES255", "SSECustomerKey": key}, {}):
        with pytest.raises(ClientError):
            client.get_object(**where, **wrong)
    source = {f"CopySource{name}": value for name, value in mine.items()}
    client.copy_object(**where | {"Key": f"{KEY}-copied"}, CopySource=where, **source, **theirs)
    upload = client.create_multipart_upload(**where, **mine)["UploadId"]
    part = client.upload_part(**where, UploadId=upload, PartNumber=1, Body=b"s" * 5 * MIB, **mine)
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    client.complete_multipart_upload(**where, UploadId=upload, MultipartUpload=parts, **mine)
    headers = {
        "x-amz-server-side-encryption-customer-algorithm": "AES256",
        "x-amz-server-side-encryption-customer-key": b64encode(key).decode(),
        "x-amz-server-side-encryption-customer-key-md5": b64encode(md5(key).digest()).decode(),
    }
    url = client.generate_presigned_url("get_object", Params={**where, "SSECustomerAlgorithm": "AES256"}, ExpiresIn=300)
    found.see(f"a link {len(found.known)}", url)
    for method in ("GET", "PUT", "HEAD"):
        for changed in (headers, {**headers, "x-amz-server-side-encryption-customer-key-md5": "x"}):
            POOL.request(method, url, headers=changed)


def _forms(found: Secrets, clients: list[Any]) -> None:
    """POST forms, as they are and with a field changed."""
    for client in clients:
        post = client.generate_presigned_post(BUCKET, f"{KEY}-form")
        found.add(
            f"a form's signature {len(found.known)}", next(v for k, v in post["fields"].items() if "ignature" in k)
        )
        for changed in ({}, {"x-amz-signature": "0" * 64}, {"key": "other"}, {"x-amz-security-token": PASSWORD}):
            fields = {**post["fields"], **changed, "file": ("name", b"content")}
            POOL.request("POST", post["url"], fields=fields)


def _tokens(found: Secrets, realm: Realm, session: Any) -> None:
    """Tokens that are not right, in headers and in links."""
    token = session["SessionToken"]
    wrong = {**session, "SessionToken": token[:-8] + "AAAAAAAA"}
    found.add("a wrong token", wrong["SessionToken"])
    for keys in (wrong, {**session, "SecretAccessKey": "x" * 40}):
        client = found.watch(realm.client("s3", keys), "a stranger")
        with pytest.raises(ClientError):
            client.get_object(Bucket=BUCKET, Key=KEY)
        url = client.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": KEY})
        found.see(f"a link {len(found.known)}", url)
        POOL.request("GET", url)
        with pytest.raises(ClientError):
            found.watch(realm.client("sts", keys), "a stranger").get_caller_identity()


def _outage(found: Secrets, client: Any) -> None:
    """What fails inside is logged: with what it failed on?"""
    key = secrets.token_bytes(32)
    found.add("a customer's key in an outage", key)
    link = client.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": KEY})
    found.see("a link in an outage", link)
    sealed = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": key}
    calls: list[Callable[[], Any]] = [
        lambda: client.put_object(Bucket=BUCKET, Key=KEY, Body=b"x", **sealed),
        lambda: client.get_object(Bucket=BUCKET, Key=f"{KEY}-sealed", **sealed),
        lambda: POOL.request("GET", link),
    ]
    for call in calls:
        with contextlib.suppress(ClientError, BotoCoreError, urllib3.exceptions.HTTPError):
            call()


def _identities(found: Secrets, realm: Realm, store: Store, user: Any) -> None:
    """Passwords and tokens in posts to IAM and STS, which mostly know no such action."""
    iam, sts = found.watch(realm.client("iam", user), "joe"), found.watch(realm.sts, "root")
    found.add("another password", OTHER_PASSWORD)
    found.add("a web identity", TOKEN)
    calls: list[tuple[Any, dict[str, str]]] = [
        (iam.change_password, {"OldPassword": PASSWORD, "NewPassword": OTHER_PASSWORD}),
        (realm.iam.create_login_profile, {"UserName": "joe", "Password": PASSWORD}),
        (
            sts.assume_role,
            {"RoleArn": "arn:aws:iam::000000000000:role/x", "RoleSessionName": "s" * 9, "TokenCode": "123456"},
        ),
        (
            sts.assume_role_with_web_identity,
            {"RoleArn": "arn:aws:iam::000000000000:role/x", "RoleSessionName": "joe", "WebIdentityToken": TOKEN},
        ),
    ]
    for call, arguments in calls:
        with pytest.raises(ClientError):
            call(**arguments)
    form = {"content-type": "application/x-www-form-urlencoded"}
    query = f"Action=AssumeRoleWithWebIdentity&Version=2011-06-15&WebIdentityToken={TOKEN}&Password={PASSWORD}"
    POOL.request("GET", f"{store.endpoint}/?{query}")
    POOL.request("GET", f"{store.endpoint}/-/metrics?{query}")
    POOL.request("POST", f"{store.endpoint}/?{query}", body=query, headers=form)
    POOL.request("POST", f"{store.endpoint}/", body=f"Action={PASSWORD}&Version=2010-05-08", headers=form)
    made = realm.iam.create_access_key(UserName="joe")["AccessKey"]
    found.add(f"a key's secret {len(found.known)}", made["SecretAccessKey"])
    realm.iam.delete_access_key(UserName="joe", AccessKeyId=made["AccessKeyId"])
    realm.iam.put_user_policy(UserName="joe", PolicyName="own", PolicyDocument=policy(allow(["s3:*", "sts:*"], "*")))


def files_of(store: Store) -> Iterator[Path]:
    """All that the store has written. The keys that an installation keeps for itself are meant to be there."""
    for root in (store.home, store.home / "logs"):
        for path in sorted(root.resolve().rglob("*")):
            if path.is_file() and not path.name.endswith(_TEXT_TYPES):
                yield path


def test_the_search_finds_what_is_there(store: Store, hidden: Secrets) -> None:
    """What it looks through holds what it should: else not finding would mean nothing."""
    assert len(hidden.known) > 40
    names = {path.name: path.read_bytes() for path in files_of(store) if path.suffix == ".log"}
    for log in ("access.log", "audit.log"):
        assert KEY.encode() in names[log] and store.access_key.encode() in names[log]
    assert b"FATAL" in names["postgres.log"] or b"shut" in names["postgres.log"]
    assert KEY.encode().hex().encode() in tables_of(store)


def test_no_file(store: Store, hidden: Secrets) -> None:
    leaks = {}
    for path in files_of(store):
        found = hidden.found_in(path.read_bytes())
        if found:
            leaks[str(path)] = found
    assert not leaks


def tables_of(store: Store) -> bytes:
    """Every row of every table as text, in which bytes are hex digits."""
    rows = []
    with psycopg.connect(store.cluster.database_url, autocommit=True) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        for (table,) in tables:
            rows += [str(row) for (row,) in connection.execute(f'SELECT t::text FROM "{table}" AS t').fetchall()]
    assert len(tables) > 10
    return "\n".join(rows).encode()


def test_no_table(store: Store, hidden: Secrets) -> None:
    tables = tables_of(store)
    assert hidden.found_in(tables) == []
    assert [name for name, data in hidden.known.items() if data.hex().encode() in tables] == []


def test_no_metric(store: Store, hidden: Secrets) -> None:
    page = POOL.request("GET", f"{store.endpoint}/-/metrics").data
    assert b"s3gate_requests_total" in page
    assert hidden.found_in(page) == []
    operations = set(re.findall(rb'operation="([^"]*)"', page))
    assert all(re.fullmatch(rb"((iam|sts):)?[A-Za-z0-9]*", name) for name in operations), "not as the client spelled it"


def test_no_command_line(store: Store, hidden: Secrets) -> None:
    for process in store.processes():
        assert hidden.found_in(Path(f"/proc/{process.pid}/cmdline").read_bytes()) == []


@pytest.mark.parametrize("version", ["s3", "s3v4"])
def test_an_error_says_no_more_than_aws(store: Store, hidden: Secrets, version: str) -> None:
    """Of a wrong signature: what was to be signed, which the client could compute, and nothing that a key is in."""
    client = store.client(signature_version=version)
    url = client.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": KEY})
    answer = POOL.request("GET", re.sub(r"Signature=[^&]*", "Signature=" + "0" * 28, url))
    assert answer.status == 403
    elements = set(re.findall(rb"<(\w+)>", answer.data))
    v2 = {b"StringToSign", b"StringToSignBytes", b"SignatureProvided", b"AWSAccessKeyId"}
    v4 = v2 | {b"CanonicalRequest", b"CanonicalRequestBytes"}
    own = {b"Error", b"Code", b"Message", b"RequestId", b"HostId", b"Resource"}
    assert elements - own in (v2, v4)
    assert hidden.found_in(answer.data) == []
    right = unquote(url).rpartition("Signature=")[2].partition("&")[0].encode()
    assert right not in answer.data
