"""compose.yaml, the Dockerfile and the balancer's configuration name only what exists in the code.

There is no container engine where the tests run, so what the files say is compared with the Compose specification's
schema and with the programs; `test_topology.py` runs the same pieces as plain processes.
"""

from __future__ import annotations

import json
import re
import stat
import subprocess
import sys
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from chunkd import settings as chunkd_settings
from chunkd import wire
from s3gate.embedded.readiness import READY_PATH
from s3gate.settings import Settings, parse_address, variables
from tests.clients.programs import find_program

ROOT = Path(__file__).resolve().parents[2]
SECRETS = ("POSTGRES_PASSWORD", "S3GATE_CLUSTER_KEY", "S3GATE_ROOT_ACCESS_KEY", "S3GATE_ROOT_SECRET_KEY")
GATES = ("gate-1", "gate-2")
CHUNKD_HEALTH_PATH = "/health"  # of the contract in chunkd/wire.py
NODES = tuple(f"node-{number}" for number in range(1, 8))


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What deploy/make-env makes."""
    file = tmp_path_factory.mktemp("env") / ".env"
    subprocess.run([ROOT / "deploy" / "make-env", file], check=True)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert subprocess.run([ROOT / "deploy" / "make-env", file], capture_output=True, check=False).returncode == 1
    return dict(line.split("=", 1) for line in file.read_text().splitlines())


@pytest.fixture(scope="module")
def compose(secrets: dict[str, str]) -> dict[str, Any]:
    """compose.yaml as an engine would see it: the secrets filled in."""
    text = (ROOT / "compose.yaml").read_text()
    text = re.sub(r"\$\{(\w+):\?[^}]*\}", lambda match: secrets[match[1]], text)
    assert "$" not in text
    parsed: dict[str, Any] = yaml.safe_load(text)
    return parsed


def environment(compose: dict[str, Any], service: str) -> dict[str, str]:
    return {name: str(value) for name, value in compose["services"][service].get("environment", {}).items()}


def ours(compose: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: service for name, service in compose["services"].items() if service.get("image") == "s3gate"}


def test_it_is_valid_by_the_compose_specification(compose: dict[str, Any]) -> None:
    schema = resources.files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json"
    jsonschema.validate(compose, json.loads(schema.read_text()))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**compose, "services": {"gate": {"comand": "x"}}}, json.loads(schema.read_text()))


def test_it_describes_what_the_issue_asks_for(compose: dict[str, Any]) -> None:
    assert set(compose["services"]) == {"postgres", "keys", *GATES, "balancer", "worker", *NODES}
    volumes = [volume.split(":")[0] for name in NODES for volume in compose["services"][name]["volumes"]]
    assert sorted(volumes) == sorted(NODES), "every node has a disk of its own"
    assert set(volumes) <= set(compose["volumes"])


def test_secrets_are_made_for_each_deployment(secrets: dict[str, str]) -> None:
    assert set(secrets) == set(SECRETS)
    assert len(wire.ClusterKey.parse(secrets["S3GATE_CLUSTER_KEY"]).cluster_id) == 16
    assert re.fullmatch(r"[A-Z0-9]{20}", secrets["S3GATE_ROOT_ACCESS_KEY"])
    text = (ROOT / "compose.yaml").read_text()
    assert set(re.findall(r"\$\{(\w+)", text)) == set(SECRETS)


def test_every_command_is_one_that_the_program_takes(compose: dict[str, Any]) -> None:
    commands = {tuple(service["command"]) for service in ours(compose).values()}
    assert commands == {
        ("s3gate", "serve"),
        ("s3gate", "work"),
        ("s3gate", "admin", "make-keys"),
        ("chunkd", "serve"),
    }
    for command in commands:
        subprocess.run([sys.executable, "-m", *command, "--help"], cwd=ROOT, capture_output=True, check=True)


def test_every_variable_is_one_that_the_program_reads(compose: dict[str, Any]) -> None:
    known = {*variables(), *(row.variable for row in chunkd_settings.TABLE)}
    for name in ours(compose):
        assert set(environment(compose, name)) <= known, name


def test_the_programs_accept_their_variables(compose: dict[str, Any]) -> None:
    for name in (*GATES, "worker"):
        settings = Settings.read(environment(compose, name))
        assert settings.cluster_key_text() and settings.database_url and settings.root_access_key
    for name in NODES:
        node = chunkd_settings.Settings.read({}, environment(compose, name))
        assert node.advertised(node.listen_port) == f"{name}:{node.listen_port}"


def test_the_key_file_is_made_where_gates_look_for_it(compose: dict[str, Any]) -> None:
    for name in (*GATES, "keys"):
        assert environment(compose, name)["S3GATE_KMS_KEYS_FILE"].startswith("/keys/")
        assert "keys:/keys" in compose["services"][name]["volumes"]


def test_nodes_join_at_the_internal_port_of_every_gate(compose: dict[str, Any]) -> None:
    expected = [
        f"http://{gate}:{parse_address(environment(compose, gate)['S3GATE_INTERNAL_LISTEN']).port}" for gate in GATES
    ]
    for name in NODES:
        assert environment(compose, name)["CHUNKD_JOIN"].split(",") == expected


def test_health_checks_ask_for_what_is_served(compose: dict[str, Any]) -> None:
    for names, variable, path in ((GATES, "S3GATE_LISTEN", READY_PATH), (NODES, "CHUNKD_LISTEN", CHUNKD_HEALTH_PATH)):
        for name in names:
            port = parse_address(environment(compose, name)[variable]).port
            assert f"http://127.0.0.1:{port}{path}'" in compose["services"][name]["healthcheck"]["test"][-1]


def test_the_database_is_the_one_that_gates_are_told(compose: dict[str, Any]) -> None:
    own = environment(compose, "postgres")
    url = "postgresql://{POSTGRES_USER}:{POSTGRES_PASSWORD}@postgres:5432/{POSTGRES_DB}".format(**own)
    for name in (*GATES, "worker"):
        assert environment(compose, name)["S3GATE_DATABASE_URL"] == url
        assert compose["services"][name]["depends_on"]["postgres"]["condition"] == "service_healthy"


def test_the_balancer_knows_the_gates(compose: dict[str, Any]) -> None:
    text = (ROOT / "deploy" / "haproxy.cfg").read_text()
    servers = dict(re.findall(r"^\s+server (\S+) (\S+)", text, re.MULTILINE))
    expected = {gate: f"{gate}:{parse_address(environment(compose, gate)['S3GATE_LISTEN']).port}" for gate in GATES}
    assert servers == expected
    assert f"uri {READY_PATH} " in text
    port = re.search(r"bind :(\d+)", text)
    assert port is not None
    assert compose["services"]["balancer"]["ports"] == [f"127.0.0.1:9000:{port[1]}"]
    mounted = compose["services"]["balancer"]["volumes"][0].split(":")[0]
    assert (ROOT / mounted).is_file()


def test_the_balancer_accepts_its_configuration(tmp_path: Path) -> None:
    text = (ROOT / "deploy" / "haproxy.cfg").read_text()
    config = tmp_path / "haproxy.cfg"
    config.write_text(re.sub(r"(server \S+) \S+:(\d+)", r"\1 127.0.0.1:\2", text))
    command = [find_program("haproxy", "/usr/sbin/haproxy"), "-c", "-f", str(config)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_image_is_built_from_what_is_there() -> None:
    text = (ROOT / "Dockerfile").read_text()
    ignored = (ROOT / ".dockerignore").read_text().split()
    for line in re.findall(r"^COPY (.+) \S+$", text, re.MULTILINE):
        for source in line.split():
            assert (ROOT / source).exists() and source not in ignored
    assert "--require-hashes" in text
    version = re.search(r"^FROM python:(\d+)\.(\d+)", text, re.MULTILINE)
    assert version is not None and (int(version[1]), int(version[2])) >= (3, 11)
    assert 'ENTRYPOINT ["python", "-m"]' in text
