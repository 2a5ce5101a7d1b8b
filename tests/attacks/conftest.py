"""What attackers are after: a bucket with a treasure in it, and the proof that nothing became of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest

from tests.fix_store import Store, store_factory
from tests.limits.wire import Reply, Signer

TREASURE = b"the treasure that nobody may see " * 9
KEY = "treasure"
METADATA = {"owner": "the king"}


@dataclass(frozen=True)
class Prey:
    """A bucket, `treasure` in it, and what the whole store looks like from outside."""

    bucket: str
    client: Any
    gate: Any

    @property
    def target(self) -> str:
        return f"/{self.bucket}/{KEY}"

    def state(self) -> dict[str, Any]:
        """Everything that an attack could have changed."""
        where = {"Bucket": self.bucket, "Key": KEY}
        found = self.client.get_object(**where)
        listed = self.client.list_object_versions(Bucket=self.bucket)
        return {
            "content": found["Body"].read(),
            "metadata": found["Metadata"],
            "type": found["ContentType"],
            "etag": found["ETag"],
            "written": found["LastModified"],
            "tags": self.client.get_object_tagging(**where)["TagSet"],
            "keys": [(each["Key"], each["VersionId"]) for each in listed.get("Versions", [])],
            "markers": listed.get("DeleteMarkers", []),
            "uploads": self.client.list_multipart_uploads(Bucket=self.bucket).get("Uploads", []),
            "versioning": self.client.get_bucket_versioning(Bucket=self.bucket).get("Status"),
            "buckets": [each["Name"] for each in self.client.list_buckets()["Buckets"]],
        }


PER_MINUTE, DELAY_SECONDS = 20, 0.4


@pytest.fixture(scope="session")
def watched(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Another store, with an audit trail, that loses its patience soon."""
    settings = {
        "audit_log": str(tmp_path_factory.mktemp("trail") / "audit.log"),
        "failed_signatures_per_minute": str(PER_MINUTE),
        "failed_signature_delay_seconds": str(DELAY_SECONDS),
    }
    with ExitStack() as stack:
        make = store_factory(stack, lambda: request.getfixturevalue("database_server"))
        yield make(gate_settings=settings)


@pytest.fixture(scope="session")
def signer(store: Store) -> Signer:
    return Signer(store)


@pytest.fixture(scope="module")
def prey(store: Store) -> Prey:
    """A bucket of the file's own."""
    found = Prey(f"prey-{uuid4().hex[:12]}", store.client(), store.gates[0])
    found.client.create_bucket(Bucket=found.bucket)
    found.client.put_object(Bucket=found.bucket, Key=KEY, Body=TREASURE, Metadata=METADATA)
    return found


@pytest.fixture
def unharmed(prey: Prey) -> Iterator[None]:
    """Afterwards everything is as before, and the gate has logged no fault of its own."""
    before, pid, log = prey.state(), prey.gate.pid, len(prey.gate.log_text())
    yield
    assert prey.state() == before
    assert prey.gate.running and prey.gate.pid == pid
    said = prey.gate.log_text()[log:]
    assert "Traceback" not in said and "failed" not in said, said


def assert_refused(reply: Reply) -> None:
    """Not let in, not a fault of ours, and nothing of the treasure in it."""
    assert 400 <= reply.status < 500 or reply.status == 501, (reply.status, reply.body[:500])
    assert TREASURE[:30] not in reply.body
    assert "the king" not in str(reply.headers)
