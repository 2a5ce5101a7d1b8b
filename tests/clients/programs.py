"""Client programs, run as a user runs them: found, pointed at a store, their output kept for the failure."""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

TIMEOUT_SECONDS = 120
MOUNT_SECONDS = 20
TOOLS = Path(os.environ.get("S3GATE_TEST_TOOLS", Path(__file__).parents[2] / ".tools"))


@dataclass(frozen=True)
class Endpoint:
    """Where a client is pointed: `ca_file` is the certificate to trust over https."""

    url: str
    access_key: str
    secret_key: str
    ca_file: str | None = None

    @property
    def host(self) -> str:
        return self.url.split("//")[1]

    @property
    def secure(self) -> bool:
        return self.url.startswith("https")

    def tls_context(self) -> ssl.SSLContext | None:
        return ssl.create_default_context(cafile=self.ca_file) if self.ca_file else None

    def environment(self) -> dict[str, str]:
        """The variables by which programs find endpoint and keys; nothing of the developer's own set-up."""
        values = {
            "PATH": os.environ["PATH"],
            "HOME": "/nonexistent",
            "LANG": "C.UTF-8",
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": self.url,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_MAX_ATTEMPTS": "3",
        }
        if self.ca_file:
            values["AWS_CA_BUNDLE"] = self.ca_file
        return values


@dataclass(frozen=True)
class Program:
    """A client program with the arguments that every call of it takes."""

    command: tuple[str, ...]
    environment: dict[str, str]

    def __call__(self, *arguments: str | Path, ok: bool = True) -> str:
        """Runs it, returns what it printed; fails the test when it did not end as `ok` says."""
        command = [*self.command, *(str(argument) for argument in arguments)]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=TIMEOUT_SECONDS)
        if ok:
            assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
        else:
            assert done.returncode != 0, f"{' '.join(command)} succeeded\n{done.stdout}"
        return done.stdout + done.stderr


def find_program(*candidates: str) -> str:
    """The first of these programs that is installed; a missing one fails in CI and skips elsewhere."""
    for candidate in candidates:
        found = shutil.which(candidate)
        if found:
            return found
    message = f"{candidates[0]} is not installed: .ci/run installs what the client tests drive"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


@contextmanager
def mounted(command: Sequence[str], environment: Mapping[str, str], folder: Path) -> Iterator[Path]:
    """The folder that this program mounts while it runs; unmounted and its process ended at the end."""
    find_program("fusermount3")
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        pytest.skip("/dev/fuse cannot be opened by this user")
    folder.mkdir()
    with (folder.parent / f"{folder.name}.log").open("w+") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + MOUNT_SECONDS
            while not os.path.ismount(folder):
                ended = process.poll() is not None or time.monotonic() > deadline
                assert not ended, f"the mount did not appear\n{Path(log.name).read_text()}"
                time.sleep(0.05)
            yield folder
        finally:
            subprocess.run(["fusermount3", "-u", str(folder)], check=False)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def same_tree(left: Path, right: Path) -> bool:
    """Whether two folders hold the same files with the same bytes."""

    def contents(root: Path) -> dict[str, bytes]:
        return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}

    return contents(left) == contents(right)
