"""`admin apply|user|key|policy|rotate-secrets`: identities, for an operator who has the database and no key.

The commands are IAM's actions done as the root of an account, so that there is one set of rules. Answers are JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from chunkd.wire import ClusterKey
from s3gate.admin import rotate
from s3gate.admin.opened import open_catalog
from s3gate.crypto.keyfile import KeyFile
from s3gate.iam_api.handle import IamService
from s3gate.iam_api.jwks import ProviderKeys, fetch
from s3gate.identity.applying import apply
from s3gate.identity.identities import Identities
from s3gate.identity.identities_file import BadFile, read
from s3gate.s3.credentials import Credential
from s3gate.s3.errors import S3Error
from s3gate.settings import Settings


class Refused(Exception):
    """What was asked for cannot be done; the message is for the person at the terminal."""


class _Verb(NamedTuple):
    """One command: the action behind it, and which parameter each argument is."""

    action: str
    arguments: tuple[str, ...] = ()
    fixed: Mapping[str, str] = {}


_USER: Final = "UserName"
_VERBS: Final[dict[str, dict[str, _Verb]]] = {
    "user": {
        "add": _Verb("CreateUser", (_USER,)),
        "show": _Verb("GetUser", (_USER,)),
        "list": _Verb("ListUsers"),
        "remove": _Verb("DeleteUser", (_USER,)),
    },
    "key": {
        "add": _Verb("CreateAccessKey", (_USER,)),
        "list": _Verb("ListAccessKeys", (_USER,)),
        "enable": _Verb("UpdateAccessKey", (_USER, "AccessKeyId"), {"Status": "Active"}),
        "disable": _Verb("UpdateAccessKey", (_USER, "AccessKeyId"), {"Status": "Inactive"}),
        "remove": _Verb("DeleteAccessKey", (_USER, "AccessKeyId")),
    },
    "policy": {
        "add": _Verb("CreatePolicy", ("PolicyName", "PolicyDocument")),
        "list": _Verb("ListPolicies"),
        "remove": _Verb("DeletePolicy", ("PolicyArn",)),
        "attach": _Verb("AttachUserPolicy", (_USER, "PolicyArn")),
        "detach": _Verb("DetachUserPolicy", (_USER, "PolicyArn")),
        "put": _Verb("PutUserPolicy", (_USER, "PolicyName", "PolicyDocument")),
        "unput": _Verb("DeleteUserPolicy", (_USER, "PolicyName")),
        "show": _Verb("ListAttachedUserPolicies", (_USER,)),
    },
}
_METAVARS: Final = {
    _USER: "USER",
    "AccessKeyId": "KEY",
    "PolicyName": "NAME",
    "PolicyArn": "ARN",
    "PolicyDocument": "FILE",
}


def add_commands(commands: Any) -> None:
    """To the parser of `s3gate admin`."""
    command = commands.add_parser("apply", help="make accounts, users and keys as a file gives them")
    command.add_argument("file", type=Path, metavar="FILE")
    command.set_defaults(command=_apply)
    command = commands.add_parser("rotate-secrets", help="seal the secrets of access keys anew")
    command.add_argument("--json", action="store_true", help="as JSON")
    command.set_defaults(command=_rotate_secrets)
    for noun, verbs in _VERBS.items():
        command = commands.add_parser(noun, help=f"{', '.join(verbs)}: as IAM does it")
        command.set_defaults(command=_iam)
        below = command.add_subparsers(required=True, metavar="WHAT")
        for name, verb in verbs.items():
            one = below.add_parser(name, help=f"IAM's {verb.action}")
            one.add_argument("--account", default="", metavar="ID", help="the main account unless given")
            for argument in verb.arguments:
                one.add_argument(argument, metavar=_METAVARS[argument])
            one.set_defaults(verb=verb)


@contextlib.asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[Identities]:
    key = ClusterKey.parse(settings.cluster_key_text())
    root = Credential(settings.root_access_key, settings.root_secret_key) if settings.root_access_key else None
    async with open_catalog(settings) as catalog:
        identities = Identities(catalog.identities, key, root, settings.region, time.time)
        await identities.start()
        yield identities


async def _apply(given: argparse.Namespace, settings: Settings) -> int:
    try:
        wanted = read(given.file.read_text("utf-8"))
        async with _opened(settings) as identities:
            await apply(identities, wanted, print)
    except (BadFile, UnicodeDecodeError) as error:
        raise Refused(f"{given.file}: {error}") from None
    except S3Error as error:
        raise Refused(f"{given.file}: {error.code}: {error.message}") from None
    if wanted.kms_keys:
        _make_kms_keys(wanted.kms_keys, settings)
    return 0


def _make_kms_keys(names: tuple[str, ...], settings: Settings) -> None:
    """Those that are not there yet."""
    if settings.kms_keys_file is None:
        raise Refused("kms_keys: S3GATE_KMS_KEYS_FILE names no key file")
    rotate.make_keys(settings.kms_keys_file)
    for name in names:
        if name not in KeyFile.read(settings.kms_keys_file).keys:
            rotate.add_key(settings.kms_keys_file, name)


async def _rotate_secrets(given: argparse.Namespace, settings: Settings) -> int:
    async with _opened(settings) as identities:
        count = await identities.rotate()
    print(json.dumps({"resealed": count}) if given.json else f"{count} secrets sealed anew")
    return 0


def _parameters(given: argparse.Namespace) -> dict[str, str]:
    """Of the action; a document is the file that is named."""
    verb: _Verb = given.verb
    parameters = {"Action": verb.action, **verb.fixed}
    for name in verb.arguments:
        value = getattr(given, name)
        parameters[name] = Path(value).read_text("utf-8") if name == "PolicyDocument" else value
    return parameters


async def _iam(given: argparse.Namespace, settings: Settings) -> int:
    parameters = _parameters(given)
    async with _opened(settings) as identities:
        service = IamService(identities, ProviderKeys(fetch, time.time))
        accounts = await identities.accounts()
        account_id = given.account or next(row.account_id for row in accounts.values() if row.is_main)
        if account_id not in accounts:
            raise Refused(f"there is no account {account_id}")
        try:
            answer = await _all_pages(service, account_id, parameters)
        except S3Error as error:
            raise Refused(f"{error.code}: {error.message}") from None
    if answer:
        print(json.dumps(answer, default=str))
    return 0


async def _all_pages(service: IamService, account_id: str, parameters: dict[str, str]) -> dict[str, Any]:
    """The answer; of a list, all of it."""
    whole: dict[str, Any] = {}
    while True:
        answer = dict(await service.as_root(account_id, parameters) or {})
        marker = answer.pop("Marker", None)
        answer.pop("IsTruncated", None)
        for name, value in answer.items():
            whole[name] = whole[name] + value if isinstance(value, list) and name in whole else value
        if marker is None:
            return whole
        parameters = {**parameters, "Marker": marker}
