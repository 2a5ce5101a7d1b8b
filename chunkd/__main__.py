"""`python -m chunkd COMMAND`: the command line of a storage node.

    serve              keep shards and serve them; joins its cluster first
    init               make an empty directory a node's store
    check              verify everything that is stored; status 1 when something is wrong
    rebuild-index      make the index anew from packs and files
    clear-read-only    the operator has seen to the disk: allow writing again (law 8)
    sign               print an Authorization header for curl

It parses, chooses and reports; what is done is done elsewhere.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import uvloop
from awscrt.checksums import crc32c

from chunkd import process, wire
from chunkd.check import check
from chunkd.disk import Disk
from chunkd.errors import StoreRefused
from chunkd.join import JoinRefused
from chunkd.ledger import remember_read_only_joins
from chunkd.recovery import rebuild_index
from chunkd.serve import Daemon, open_store
from chunkd.settings import TABLE, Settings, SettingsError, read_key, unknown_variables
from chunkd.superblock import clear_read_only, initialise, load_superblock

EXIT_WRONG = 1
EXIT_USAGE = 2
EXIT_STORE_REFUSED = 3
EXIT_JOIN_REFUSED = 4
"""A supervisor need not start it again: only an operator can help."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    given = _parser().parse_args(arguments)
    try:
        status: int = given.run(given)
        return status
    except SettingsError as error:
        return _fail(EXIT_USAGE, error)
    except StoreRefused as error:
        return _fail(EXIT_STORE_REFUSED, error)
    except JoinRefused as error:
        return _fail(EXIT_JOIN_REFUSED, f"the cluster refuses this node: {error}")
    except OSError as error:
        return _fail(EXIT_WRONG, error)


def _fail(status: int, error: object) -> int:
    print(f"chunkd: {error}", file=sys.stderr, flush=True)
    return status


def serve(given: argparse.Namespace) -> int:
    """`serve`."""
    for variable in unknown_variables(os.environ):
        print(f"chunkd: {variable} is set and means nothing", file=sys.stderr)
    settings = Settings.read(vars(given), os.environ)
    if settings.die_with_parent:
        process.die_with_parent(settings.die_with_parent)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(asctime)s %(name)s %(message)s")
    process.tune()
    uvloop.run(_serve(settings))
    return 0


async def _serve(settings: Settings) -> None:
    # Opened inside the loop: the engine has threads and futures of its own.
    await Daemon(settings, open_store(settings)).run()


def init(given: argparse.Namespace) -> int:
    """`init`."""
    key = read_key(os.environ.get("CHUNKD_CLUSTER_KEY", ""), given.cluster_key_file)
    superblock = initialise(Path(given.data_dir), cluster_id=key.cluster_id)
    print(superblock.node_id.hex())
    return 0


def clear(given: argparse.Namespace) -> int:
    """`clear-read-only`."""
    reason = clear_read_only(Path(given.data_dir))
    if reason is not None:
        remember_read_only_joins(Path(given.data_dir))
    print("it was not read-only" if reason is None else f"cleared; the reason was: {reason}")
    return 0


def sign(given: argparse.Namespace) -> int:
    """`sign`: for a node that is asked by hand."""
    key = read_key(os.environ.get("CHUNKD_CLUSTER_KEY", ""), given.cluster_key_file)
    node_id, incarnation = given.node_id, given.incarnation
    if not node_id:
        if not given.data_dir:
            raise SettingsError("either --node-id and --incarnation (see /health) or --data-dir")
        superblock = load_superblock(Path(given.data_dir), Disk())
        node_id, incarnation = superblock.node_id.hex(), superblock.incarnation
    body = Path(given.body_file).read_bytes() if given.body_file else b""
    crc = wire.crc_text(crc32c(body)) if given.body_file else wire.NO_CRC
    expiry = int(time.time()) + given.seconds
    signing_key = key.derive(wire.REQUEST_PURPOSE)[0]
    value = wire.sign(signing_key, given.method, given.target, node_id, incarnation, expiry, len(body), crc)
    print(f"Authorization: {value}")
    if given.body_file:
        print(f"{wire.CRC_HEADER}: {crc}")
    return 0


def check_store(given: argparse.Namespace) -> int:
    """`check`."""
    report = check(Path(given.data_dir))
    for problem in report.problems:
        print(problem)
    torn = "; the last pack has a torn tail, which holds nothing that was acknowledged" if report.torn else ""
    print(
        f"{report.shards} shards ({report.trashed} of them in the trash) in {report.packs} packs and "
        f"{report.files} files: {len(report.problems)} problems{torn}"
    )
    return 0 if report.sound else EXIT_WRONG


def rebuild(given: argparse.Namespace) -> int:
    """`rebuild-index`."""
    print(f"{rebuild_index(Path(given.data_dir), now=int(time.time() * 1000))} shards")
    return 0


Run = Callable[[argparse.Namespace], int]


def _on_directory(command: argparse.ArgumentParser, run: Run) -> argparse.ArgumentParser:
    default = os.environ.get("CHUNKD_DATA_DIR")
    command.add_argument("--data-dir", default=default, required=default is None, help="[CHUNKD_DATA_DIR]")
    command.set_defaults(run=run)
    return command


def _with_key(command: argparse.ArgumentParser) -> None:
    default = os.environ.get("CHUNKD_CLUSTER_KEY_FILE", "")
    command.add_argument("--cluster-key-file", default=default, help="[CHUNKD_CLUSTER_KEY_FILE]")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="chunkd", description="Keeps shards on a disk and never lies about them.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    command = commands.add_parser("serve", help="keep shards and serve them")
    for setting in TABLE:
        default = f" Default: {setting.default}." if setting.default else ""
        command.add_argument(
            setting.flag,
            metavar="VALUE",
            help=f"{setting.text}{default} [{setting.variable}]".replace("%", "%%"),
        )
    command.set_defaults(run=serve)
    command = _on_directory(commands.add_parser("init", help="make an empty directory a node's store"), init)
    _with_key(command)
    _on_directory(commands.add_parser("check", help="verify everything that is stored"), check_store)
    _on_directory(commands.add_parser("rebuild-index", help="make the index anew from the data"), rebuild)
    _on_directory(commands.add_parser("clear-read-only", help="allow writing after a failed sync"), clear)
    command = commands.add_parser("sign", help="print an Authorization header for curl")
    command.add_argument("method")
    command.add_argument("target", help="path and query, as sent")
    command.add_argument("--body-file", help="the body to be sent")
    command.add_argument("--node-id", default="")
    command.add_argument("--incarnation", type=int, default=0)
    command.add_argument("--data-dir", default=os.environ.get("CHUNKD_DATA_DIR", ""))
    command.add_argument("--seconds", type=int, default=wire.SIGNATURE_SECONDS, help="how long it is good")
    _with_key(command)
    command.set_defaults(run=sign)
    return parser


if __name__ == "__main__":
    sys.exit(main())
