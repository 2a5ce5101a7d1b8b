"""The command `s3gate`: which program of the project to run. Only this file ties the rooms together.

Imports are late: `s3gate up` starts processes and should not load what they need.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from s3gate.settings import PREFIX, Settings, SettingsError, unknown_variables

ROOT_VARIABLES = f"{PREFIX}ROOT_ACCESS_KEY and {PREFIX}ROOT_SECRET_KEY"
EXIT_CANNOT = 1
EXIT_SETTINGS = 2
"""A supervisor need not start it again: only an operator can help."""


def parser() -> argparse.ArgumentParser:
    """The command line; what a command line can say of a gate, the environment can say too."""
    top = argparse.ArgumentParser("s3gate", description="An S3-compatible object store.")
    commands = top.add_subparsers(dest="command", required=True)
    up = commands.add_parser(
        "up",
        help="run the whole store on this machine",
        description=f"Root keys come from {ROOT_VARIABLES}, else from DIR/root.key, made once.",
    )
    up.add_argument("--data-dir", type=Path, default=Path("s3gate-data"), metavar="DIR", help="keeps everything")
    up.add_argument("--listen", metavar="HOST:PORT", help="where S3 is served (127.0.0.1:9000)")
    up.add_argument("--internal-listen", metavar="HOST:PORT", help="where nodes join (loopback, the next port)")
    up.add_argument("--nodes", type=int, metavar="N", help="chunkds, at least 6; more than before adds nodes")
    up.add_argument("--gates", type=int, metavar="N", help="gate processes (half of the cores)")
    up.add_argument("--layout", metavar="K+M", help="6+0")
    up.add_argument("--tls-cert", metavar="FILE", help="serve https with this certificate chain (PEM)")
    up.add_argument("--tls-key", metavar="FILE", help="and its key (PEM)")
    up.add_argument("--postgres-bin", type=Path, metavar="DIR", help="initdb and postgres to use")
    up.add_argument("--ready-file", type=Path, metavar="FILE", help="written as JSON when it takes requests")
    up.add_argument("--identities", type=Path, metavar="FILE", help="accounts, users and keys to make (JSON)")
    commands.add_parser("serve", help="run a gate", description="Configured by S3GATE_ variables (README.md).")
    commands.add_parser("work", help="run the background jobs", description="Configured as a gate is.")
    admin = commands.add_parser("admin", help="look at a store, and after its keys", add_help=False)
    admin.add_argument("--data-dir", type=Path, metavar="DIR", help="that of a running `s3gate up`")
    admin.add_argument("-h", "--help", action="store_true")
    admin.add_argument("rest", nargs=argparse.REMAINDER, metavar="...")
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point."""
    given = parser().parse_args(arguments)
    for variable in unknown_variables(os.environ):
        print(f"s3gate: {variable} is set and means nothing", file=sys.stderr)
    try:
        if given.command == "up":
            return run_up(given, os.environ)
        if given.command == "admin":
            return run_admin(given, os.environ)
        return run_piece(given.command, Settings.read(os.environ))
    except SettingsError as error:
        print(f"s3gate: {error}", file=sys.stderr)
        return EXIT_SETTINGS


def run_piece(command: str, settings: Settings) -> int:
    """A gate or a worker, in this process, until it is told to stop."""
    from chunkd.wire import WireError
    from s3gate.catalog.errors import CatalogError

    try:
        if command == "serve":
            from s3gate.web.serve import run

            run(settings)
        else:
            import uvloop

            from s3gate.workers.run import work

            uvloop.run(work(settings))
    except WireError as error:
        raise SettingsError(f"{PREFIX}CLUSTER_KEY: {error}") from None
    except CatalogError as error:
        print(f"s3gate: {error}", file=sys.stderr)
        return EXIT_CANNOT
    return 0


def run_admin(given: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """A look at a store: the one that runs in a data directory, or the one that the environment names."""
    own: dict[str, str] = {}
    if given.data_dir is not None:
        from s3gate.embedded.running import Running, RunningError

        try:
            running = Running.read(given.data_dir)
        except RunningError as error:
            raise SettingsError(str(error)) from None
        own = {
            "DATABASE_URL": running.database_url,
            "CLUSTER_KEY_FILE": running.cluster_key_file,
            "KMS_KEYS_FILE": running.kms_keys_file,
            "ROOT_ACCESS_KEY": running.access_key,
            "ROOT_SECRET_KEY": running.secret_key,
        }
    own = {PREFIX + name: value for name, value in own.items()}
    from s3gate.admin.run import main as admin

    rest = ["--help", *given.rest] if given.help else given.rest
    return admin(rest, Settings.read({**environ, **own}))


def run_up(given: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """The whole store: options become variables, so that there is one way to read a setting."""
    from s3gate.embedded.banner import banner
    from s3gate.embedded.up import EXPECTED_ERRORS, Options, complain, up

    named = {
        "LISTEN": given.listen,
        "INTERNAL_LISTEN": given.internal_listen,
        "LAYOUT": given.layout,
        "TLS_CERT": given.tls_cert,
        "TLS_KEY": given.tls_key,
    }
    own = {PREFIX + name: value for name, value in named.items() if value is not None}
    options = Options(given.data_dir, given.nodes, given.gates, given.postgres_bin, given.ready_file, given.identities)
    try:
        up(options, {**environ, **own}, say, lambda running: say(banner(running)))
    except EXPECTED_ERRORS as error:
        return complain(error)
    return 0


def say(text: str) -> None:
    """One message to whoever watches. Nobody may: a closed pipe is no reason to stop a store."""
    try:
        print(text, flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


if __name__ == "__main__":
    sys.exit(main())
