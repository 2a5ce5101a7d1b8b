"""What keeps a gate, a worker or an administrator's command from starting is said in a line, by the setting's name."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from tests.fix_tls import make_certificate

KEY = f"s3gate-cluster-v1:{'c' * 32}:{'5' * 64}"
CANNOT, SETTINGS = 1, 2


def run(*command: str, **variables: str) -> tuple[int, str]:
    """Status and what it said; variables are named without their prefix, in small letters."""
    own = {f"S3GATE_{name.upper()}": value for name, value in variables.items()}
    clean = {name: value for name, value in os.environ.items() if not name.startswith("S3GATE_")}
    done = subprocess.run(
        [sys.executable, "-m", "s3gate", *command],
        env=clean | {"S3GATE_LISTEN": "127.0.0.1:0", "S3GATE_INTERNAL_LISTEN": "127.0.0.1:0"} | own,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr.strip()


@pytest.mark.parametrize("command", [("serve",), ("work",), ("admin", "nodes")])
def test_settings_that_cannot_work(command: tuple[str, ...]) -> None:
    status, said = run(*command, cluster_key="nonsense", database_url="postgresql:///x")
    assert status == SETTINGS and "s3gate-cluster-v1:CLUSTER_ID:SECRET" in said
    for url, reason in (("", "is not set: expected postgresql://"), ("nonsense", 'missing "="')):
        status, said = run(*command, cluster_key=KEY, database_url=url)
        assert status in (CANNOT, SETTINGS) and "S3GATE_DATABASE_URL" in said and reason in said
        assert len(said.splitlines()) == 1


def test_the_database_of_another_cluster(database: str) -> None:
    with psycopg.connect(database) as connection:
        connection.execute("INSERT INTO cluster (cluster_id, format) VALUES (%s, 3)", (b"\xee" * 16,))
    for command in ("serve", "work"):
        status, said = run(command, cluster_key=KEY, database_url=database)
        assert status == CANNOT and said == (
            f"s3gate: this database belongs to cluster {'ee' * 16}, the cluster key to {'cc' * 16}"
        )


def test_a_postgres_that_is_not_there_is_no_traceback_for_administrators() -> None:
    status, said = run("admin", "user", "list", cluster_key=KEY, database_url="postgresql://u@127.0.0.1:1/x")
    assert status == SETTINGS and said.startswith("s3gate admin: Postgres does not answer: ")


def test_a_port_that_is_taken(database: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        for name in ("listen", "internal_listen"):
            status, said = run("serve", cluster_key=KEY, database_url=database, **{name: address})
            assert status == SETTINGS
            assert said == f"s3gate: S3GATE_{name.upper()}: cannot listen on {address}: Address already in use"


def test_certificates_that_cannot_be_served(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    one, other = make_certificate(tmp_path / "one"), make_certificate(tmp_path / "other")
    missing = str(tmp_path / "missing.pem")
    for cert, key, reason in (
        (missing, str(one.key), f"No such file or directory: '{missing}'"),
        (str(one.cert), missing, f"No such file or directory: '{missing}'"),
        (str(one.cert), str(other.key), "KEY_VALUES_MISMATCH"),
        (str(one.key), str(one.key), "PEM"),
    ):
        status, said = run("serve", cluster_key=KEY, database_url="postgresql:///x", tls_cert=cert, tls_key=key)
        assert status == SETTINGS and said.startswith("s3gate: S3GATE_TLS_CERT, S3GATE_TLS_KEY: ") and reason in said


def test_help_for_administrators_needs_no_store() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "s3gate", "admin", "--help"], capture_output=True, text=True, check=False, timeout=30
    )
    assert done.returncode == 0 and "rotate-keys" in done.stdout and "--data-dir" in done.stdout
