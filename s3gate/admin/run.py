"""`s3gate admin COMMAND`: what an operator asks. Parses, opens what the question needs, prints the answer.

    check [--deep] [--json]      rows against shards and shards against rows; status 1 when something is wrong
    where BUCKET KEY [--version-id ID] [--json]
                                 parts, segments, shards, nodes and sizes of an object, and which versions it has
    nodes [--json]               nodes and groups
    make-keys                    the key file that S3GATE_KMS_KEYS_FILE names, if it is not there
    keys [--json]                the keys of SSE-S3 and SSE-KMS, without their secrets
    add-key NAME                 one more key for SSE-KMS
    rotate-keys [--key NAME]     fresh versions, and every data key wrapped under them; no object is rewritten
    apply FILE                   accounts, users and keys as an identities file gives them
    user, key, policy ...        what IAM does, without a key of one's own (admin/identities.py)
    rotate-secrets               secrets of access keys, sealed anew after the cluster key was changed

What looks at a store reads only.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from chunkd import wire
from s3gate.admin import identities as identities_room
from s3gate.admin import nodes as nodes_room
from s3gate.admin import rotate as rotate_room
from s3gate.admin import where as where_room
from s3gate.admin.check import Checker
from s3gate.admin.opened import Opened, open_store
from s3gate.admin.render import check_lines, keys_lines, nodes_lines, rotated_lines, where_lines
from s3gate.catalog.audit import Audit
from s3gate.catalog.errors import CatalogError
from s3gate.catalog.rewrap import Rewrap
from s3gate.crypto.errors import CryptoError, KeyFileError
from s3gate.crypto.kms import LocalKms
from s3gate.settings import Settings

STATUS_WRONG = 1
STATUS_CANNOT = 2


def main(arguments: list[str], settings: Settings) -> int:
    """Run one command; the exit status is 0 when all is well."""
    given = _parser().parse_args(arguments)
    try:
        return asyncio.run(_run(given, settings))
    except (CatalogError, CryptoError, OSError, wire.WireError, where_room.NotThere, identities_room.Refused) as error:
        print(f"s3gate admin: {error}", file=sys.stderr)
        return STATUS_CANNOT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="s3gate admin",
        usage="s3gate admin [--data-dir DIR] COMMAND ...",
        description="Look at a store, and after its keys: the one that runs in DIR, or that of the S3GATE_ variables.",
    )
    parser.set_defaults(looks_at_nodes=False)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    command = commands.add_parser("check", help="compare rows with shards and shards with rows")
    command.add_argument("--deep", action="store_true", help="read and verify every shard, too")
    command.set_defaults(command=_check, looks_at_nodes=True)
    command = commands.add_parser("where", help="where the bytes of an object are")
    command.add_argument("bucket")
    command.add_argument("key")
    command.add_argument("--version-id", metavar="ID", help="of this version; the current one unless given")
    command.set_defaults(command=_where, looks_at_nodes=True)
    command = commands.add_parser("nodes", help="nodes and groups")
    command.set_defaults(command=_nodes, looks_at_nodes=True)
    command = commands.add_parser("make-keys", help="make the key file, if it is not there yet")
    command.set_defaults(command=_make_keys)
    command = commands.add_parser("keys", help="the keys of what is stored encrypted")
    command.set_defaults(command=_keys)
    command = commands.add_parser("add-key", help="one more key for SSE-KMS")
    command.add_argument("name")
    command.set_defaults(command=_add_key)
    command = commands.add_parser("rotate-keys", help="fresh versions of the keys, and all data keys wrapped anew")
    command.add_argument("--key", default="", metavar="NAME", help="only this key gets a fresh version")
    which = command.add_mutually_exclusive_group()
    which.add_argument("--only-add", action="store_true", help="only write the file, to copy it elsewhere first")
    which.add_argument("--only-rewrap", action="store_true", help="only wrap anew, under the versions that are there")
    command.set_defaults(command=_rotate)
    for one in commands.choices.values():
        one.add_argument("--json", action="store_true", help="as JSON")
    identities_room.add_commands(commands)
    return parser


async def _run(given: argparse.Namespace, settings: Settings) -> int:
    status: int
    if not given.looks_at_nodes:
        status = await given.command(given, settings)
        return status
    key = wire.ClusterKey.parse(settings.cluster_key_text())
    async with open_store(settings, key) as opened:
        status = await given.command(given, opened)
        return status


async def _check(given: argparse.Namespace, opened: Opened) -> int:
    audit = await Audit.open(opened.settings.database_url)
    try:
        report = await Checker(audit, opened.store, deep=given.deep).run()
    finally:
        await audit.close()
    if given.json:
        print(json.dumps({**dataclasses.asdict(report), "clean": report.clean}))
    else:
        _print(check_lines(report))
    return 0 if report.clean else STATUS_WRONG


async def _where(given: argparse.Namespace, opened: Opened) -> int:
    place = await where_room.where(opened.catalog, opened.store, given.bucket, given.key, given.version_id)
    return _show(given, place, where_lines)


async def _nodes(given: argparse.Namespace, opened: Opened) -> int:
    return _show(given, await nodes_room.nodes(opened.catalog), nodes_lines)


async def _make_keys(given: argparse.Namespace, settings: Settings) -> int:
    path = _key_file(settings)
    print(f"made {path}" if rotate_room.make_keys(path) else f"{path} is there already")
    return 0


async def _keys(given: argparse.Namespace, settings: Settings) -> int:
    found = rotate_room.keys(_key_file(settings))
    if given.json:
        print(json.dumps([dataclasses.asdict(one) for one in found]))
    else:
        _print(keys_lines(found))
    return 0


async def _add_key(given: argparse.Namespace, settings: Settings) -> int:
    rotate_room.add_key(_key_file(settings), given.name)
    return 0


async def _rotate(given: argparse.Namespace, settings: Settings) -> int:
    path = _key_file(settings)
    if not given.only_rewrap:
        rotate_room.add_versions(path, given.key)
    if given.only_add:
        return 0
    rows = await Rewrap.open(settings.database_url)
    try:
        rotated = await rotate_room.rewrap(rows, LocalKms(path, settings.region, ""))
    finally:
        await rows.close()
    _show(given, rotated, rotated_lines)
    return STATUS_WRONG if rotated.left else 0


def _key_file(settings: Settings) -> Path:
    if settings.kms_keys_file is None:
        raise KeyFileError("S3GATE_KMS_KEYS_FILE names no key file")
    return settings.kms_keys_file


def _show(given: argparse.Namespace, answer: Any, lines: Callable[[Any], Iterable[str]]) -> int:
    if given.json:
        print(json.dumps(dataclasses.asdict(answer)))
    else:
        _print(lines(answer))
    return 0


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        print(line)
