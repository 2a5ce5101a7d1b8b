"""What the tests of encryption have in common: headers, bodies, and a gate that keeps keys."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from s3gate.crypto.keyfile import KeyFile
from s3gate.crypto.kms import LocalKms
from s3gate.s3.errors import S3Error
from s3gate.s3.xml_out import NAMESPACE
from tests.operations.bench import Bench, Reply

SSE = "x-amz-server-side-encryption"
KEY_ID = f"{SSE}-aws-kms-key-id"
CONTEXT = f"{SSE}-context"
BUCKET_KEY = f"{SSE}-bucket-key-enabled"
CUSTOMER = f"{SSE}-customer-"
COPY_CUSTOMER = "x-amz-copy-source-server-side-encryption-customer-"
PLAIN = bytes(range(256)) * 1500  # four rows of the fake store, six blocks


def customer(key: bytes = b"k" * 32, prefix: str = CUSTOMER) -> dict[str, str]:
    digest = hashlib.md5(key).digest()
    return {
        f"{prefix}algorithm": "AES256",
        f"{prefix}key": base64.b64encode(key).decode(),
        f"{prefix}key-md5": base64.b64encode(digest).decode(),
    }


OTHER = customer(b"o" * 32)


def default_key(vault: Bench) -> str:
    return vault.gate.kms.arn(vault.gate.kms._file.default)


async def refusal(awaited) -> S3Error:
    with pytest.raises(S3Error) as caught:
        await awaited
    return caught.value


async def configure(vault: Bench, inner: str) -> Reply:
    document = f'<ServerSideEncryptionConfiguration xmlns="{NAMESPACE}">{inner}</ServerSideEncryptionConfiguration>'
    return await vault.put("/box?encryption", document.encode())


def rule(algorithm: str, more: str = "", after: str = "") -> str:
    default = f"<SSEAlgorithm>{algorithm}</SSEAlgorithm>{more}"
    return f"<Rule><ApplyServerSideEncryptionByDefault>{default}</ApplyServerSideEncryptionByDefault>{after}</Rule>"


WAYS = {
    "SSE-S3": {SSE: "AES256"},
    "SSE-KMS": {SSE: "aws:kms"},
    "SSE-KMS with a key": {SSE: "aws:kms", KEY_ID: "mine", BUCKET_KEY: "true"},
    "SSE-C": customer(),
}
way = pytest.mark.parametrize("way", WAYS)


def reading(headers: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.startswith(CUSTOMER)}


def lies_in(vault: Bench, data: bytes) -> bool:
    return any(data in segment for segment in vault.store.segments.values())


def make_vault(bench: Bench, keys: Path) -> Bench:
    """A gate that keeps keys in this file, and takes customers' ones over plain http."""
    KeyFile.fresh().with_key("mine").write(keys)
    bench.gate.kms = LocalKms(keys, "us-east-1", "000000000000")
    bench.gate.settings = replace(bench.gate.settings, sse_c_over_http=True)
    return bench
