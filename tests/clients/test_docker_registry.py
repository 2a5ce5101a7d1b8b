"""Docker's registry keeps its layers in the store; a client of plain HTTP calls pushes and pulls an image."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.clients.programs import Endpoint, find_program
from tests.fix_process import free_port
from tests.fix_store import Store

READY_SECONDS = 20
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
MIB = 1 << 20


def configuration(endpoint: Endpoint, bucket: str, port: int) -> dict[str, object]:
    """YAML takes JSON as it is."""
    s3 = {
        "accesskey": endpoint.access_key,
        "secretkey": endpoint.secret_key,
        "region": "us-east-1",
        "regionendpoint": endpoint.url,
        "bucket": bucket,
        "encrypt": True,
        "secure": False,
        "chunksize": 5 * MIB,
        "multipartcopythresholdsize": 6 * MIB,
        "multipartcopychunksize": 5 * MIB,
        "rootdirectory": "/registry",
    }
    return {
        "version": 0.1,
        "log": {"accesslog": {"disabled": True}},
        "storage": {"s3": s3, "delete": {"enabled": True}, "redirect": {"disable": True}},
        "http": {"addr": f"127.0.0.1:{port}"},
    }


class Registry:
    """Calls to the registry, which has no state of its own."""

    def __init__(self, port: int) -> None:
        self.port = port

    def call(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, sent)
        answer = connection.getresponse()
        found = answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        connection.close()
        return found

    def push_blob(self, name: str, pieces: list[bytes]) -> str:
        """In pieces, as docker does; returns its digest."""
        digest = f"sha256:{sha256(b''.join(pieces)).hexdigest()}"
        status, headers, said = self.call("POST", f"/v2/{name}/blobs/uploads/")
        assert status == 202, said
        for piece in pieces:
            place = urlsplit(headers["location"])
            status, headers, said = self.call(
                "PATCH", f"{place.path}?{place.query}", piece, Content_Type="application/octet-stream"
            )
            assert status == 202, said
        place = urlsplit(headers["location"])
        status, _, said = self.call("PUT", f"{place.path}?{place.query}&digest={digest}")
        assert status == 201, said
        return digest


@pytest.fixture
def registry(store: Store, http: Endpoint, bucket: str, tmp_path: Path) -> Iterator[Registry]:
    program, port = find_program("docker-registry"), free_port()
    store.client().create_bucket(Bucket=bucket)
    config = tmp_path / "registry.yml"
    config.write_text(json.dumps(configuration(http, bucket, port)))
    environment = {name: value for name, value in http.environment().items() if not name.startswith("AWS_")}
    with (tmp_path / "registry.log").open("w+") as log:
        process = subprocess.Popen([program, "serve", str(config)], env=environment, stdout=log, stderr=log)
        try:
            wait_ready(Registry(port), process, Path(log.name))
            yield Registry(port)
        finally:
            process.kill()
            process.wait()


def wait_ready(registry: Registry, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while True:
        assert process.poll() is None and time.monotonic() < deadline, log.read_text()
        try:
            if registry.call("GET", "/v2/")[0] == 200:
                return
        except OSError:
            time.sleep(0.05)


def test_an_image_is_pushed_pulled_and_deleted(registry: Registry, store: Store, bucket: str) -> None:
    layer = [os.urandom(7 * MIB), os.urandom(6 * MIB), os.urandom(1000)]
    blobs = {registry.push_blob("team/app", pieces): b"".join(pieces) for pieces in ([b'{"os": "linux"}'], layer)}
    config, large = (
        {"mediaType": "application/octet-stream", "size": len(data), "digest": digest} for digest, data in blobs.items()
    )
    manifest = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [large]}).encode()
    status, headers, said = registry.call("PUT", "/v2/team/app/manifests/latest", manifest, Content_Type=MANIFEST)
    assert status == 201, said
    assert json.loads(registry.call("GET", "/v2/team/app/tags/list")[2])["tags"] == ["latest"]
    assert json.loads(registry.call("GET", "/v2/_catalog")[2])["repositories"] == ["team/app"]
    assert registry.call("GET", "/v2/team/app/manifests/latest", Accept=MANIFEST)[2] == manifest
    for digest, data in blobs.items():
        assert registry.call("GET", f"/v2/team/app/blobs/{digest}")[2] == data
    middle = registry.call("GET", f"/v2/team/app/blobs/{large['digest']}", Range="bytes=100-199")
    assert middle[0] == 206 and middle[2] == b"".join(layer)[100:200]
    assert registry.call("DELETE", f"/v2/team/app/manifests/{headers['docker-content-digest']}")[0] == 202
    assert registry.call("GET", "/v2/team/app/manifests/latest", Accept=MANIFEST)[0] == 404
    s3 = store.client()
    kept = s3.list_objects_v2(Bucket=bucket, Prefix="registry/")["Contents"]
    head = s3.head_object(Bucket=bucket, Key=kept[0]["Key"])
    assert head["ServerSideEncryption"] == "AES256"
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket), "the registry ends what it begins"
