"""`s3gate admin COMMAND`: what an operator asks. Parses, opens what the question needs, prints the answer.

    check [--deep] [--json]      rows against shards and shards against rows; status 1 when something is wrong
    where BUCKET KEY [--json]    parts, segments, shards, nodes and sizes of an object
    nodes [--json]               nodes and groups

Everything here reads only.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import sys
from collections.abc import Callable, Iterable
from typing import Any

from chunkd import wire
from s3gate.admin import nodes as nodes_room
from s3gate.admin import where as where_room
from s3gate.admin.check import Checker
from s3gate.admin.opened import Opened, open_store
from s3gate.admin.render import check_lines, nodes_lines, where_lines
from s3gate.catalog.audit import Audit
from s3gate.catalog.errors import CatalogError
from s3gate.settings import Settings

STATUS_WRONG = 1
STATUS_CANNOT = 2


def main(arguments: list[str], settings: Settings) -> int:
    """Run one command; the exit status is 0 when all is well."""
    given = _parser().parse_args(arguments)
    try:
        return asyncio.run(_run(given, settings))
    except (CatalogError, OSError, where_room.NotThere) as error:
        print(f"s3gate admin: {error}", file=sys.stderr)
        return STATUS_CANNOT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="s3gate admin", description="Look at a store. Nothing is changed.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    command = commands.add_parser("check", help="compare rows with shards and shards with rows")
    command.add_argument("--deep", action="store_true", help="read and verify every shard, too")
    command.set_defaults(command=_check)
    command = commands.add_parser("where", help="where the bytes of an object are")
    command.add_argument("bucket")
    command.add_argument("key")
    command.set_defaults(command=_where)
    command = commands.add_parser("nodes", help="nodes and groups")
    command.set_defaults(command=_nodes)
    for one in commands.choices.values():
        one.add_argument("--json", action="store_true", help="as JSON")
    return parser


async def _run(given: argparse.Namespace, settings: Settings) -> int:
    key = wire.ClusterKey.parse(settings.cluster_key_text())
    async with open_store(settings, key) as opened:
        status: int = await given.command(given, opened)
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
    place = await where_room.where(opened.catalog, opened.store, given.bucket, given.key)
    return _show(given, place, where_lines)


async def _nodes(given: argparse.Namespace, opened: Opened) -> int:
    return _show(given, await nodes_room.nodes(opened.catalog), nodes_lines)


def _show(given: argparse.Namespace, answer: Any, lines: Callable[[Any], Iterable[str]]) -> int:
    if given.json:
        print(json.dumps(dataclasses.asdict(answer)))
    else:
        _print(lines(answer))
    return 0


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        print(line)
