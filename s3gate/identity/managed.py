"""The managed policies of AWS that this store ships: those that make sense for a store of objects. Read-only."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from s3gate.catalog.identity_rows import fold
from s3gate.identity.naming import MANAGED

SINCE: Final = datetime(2015, 2, 6, 18, 39, 46, tzinfo=UTC)
VERSION: Final = "v1"


class ManagedPolicy(NamedTuple):
    """A policy that every account may attach and none may change."""

    name: str
    policy_id: str
    path: str
    description: str
    document: bytes

    @property
    def arn(self) -> str:
        return f"{MANAGED}{self.path[1:]}{self.name}"


def _allow(*actions: str, **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": "*", **more}


_READ_IAM = (
    "iam:GenerateCredentialReport",
    "iam:GenerateServiceLastAccessedDetails",
    "iam:Get*",
    "iam:List*",
    "iam:SimulateCustomPolicy",
    "iam:SimulatePrincipalPolicy",
)
_READ_S3 = ("s3:Get*", "s3:List*", "s3:Describe*", "s3-object-lambda:Get*", "s3-object-lambda:List*")
_POWER: dict[str, Any] = {"Effect": "Allow", "NotAction": ["iam:*", "organizations:*", "account:*"], "Resource": "*"}

_TABLE: tuple[tuple[str, str, str, str, list[dict[str, Any]]], ...] = (
    ("AdministratorAccess", "ANPAIWMBCKSKIEE64ZLYK", "/", "Provides full access to AWS services and resources.",
     [_allow("*")]),
    ("PowerUserAccess", "ANPAJYRXTHIB4FOVS3ZXS", "/",
     "Provides full access to AWS services and resources, but does not allow management of Users and groups.",
     [_POWER, _allow("iam:ListRoles")]),
    ("ReadOnlyAccess", "ANPAILL3HVNFSB6DCOWYQ", "/", "Provides read-only access to AWS services and resources.",
     [_allow(*_READ_S3[:3], *_READ_IAM[2:], "sts:GetAccessKeyInfo", "sts:GetCallerIdentity")]),
    ("AmazonS3FullAccess", "ANPAIFIR6V6BVTRAHWINE", "/", "Provides full access to all buckets.",
     [_allow("s3:*", "s3-object-lambda:*")]),
    ("AmazonS3ReadOnlyAccess", "ANPAIZTJ4DXE7G6AGAE6M", "/", "Provides read only access to all buckets.",
     [_allow(*_READ_S3)]),
    ("IAMFullAccess", "ANPAI7XKCFMBPM3QQRRVQ", "/", "Provides full access to IAM.", [_allow("iam:*")]),
    ("IAMReadOnlyAccess", "ANPAJKSO7NDY4T57MWDSQ", "/", "Provides read only access to IAM.", [_allow(*_READ_IAM)]),
    ("AWSDenyAll", "ANPAZKAPJZG4P6SE6M6YX", "/", "Deny all access.",
     [{"Sid": "DenyAll", "Effect": "Deny", "Action": ["*"], "Resource": "*"}]),
)  # fmt: skip


def _document(statements: list[dict[str, Any]]) -> bytes:
    return json.dumps({"Version": "2012-10-17", "Statement": statements}, indent=4).encode()


ALL: Final = tuple(
    ManagedPolicy(name, policy_id, path, about, _document(said)) for name, policy_id, path, about, said in _TABLE
)
BY_ARN: Final = {policy.arn: policy for policy in ALL}
BY_NAME: Final = {fold(policy.name): policy for policy in ALL}
