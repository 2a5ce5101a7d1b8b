"""The secrets that `s3gate up` makes once and keeps: the root key pair and the cluster key.

Their meaning is defined elsewhere (`s3/sigv4.py`, `chunkd/wire.py`); here they are random text with an agreed form.
"""

from __future__ import annotations

import secrets
import string
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from s3gate.files import write_secret

ACCESS_KEY_LETTERS = string.ascii_uppercase + string.digits
SECRET_KEY_LETTERS = string.ascii_letters + string.digits


class KeyFileError(RuntimeError):
    """A key file exists and cannot be used."""


class RootKeys(NamedTuple):
    """The pair that may do everything."""

    access_key: str
    secret_key: str


def _random(letters: str, length: int) -> str:
    return "".join(secrets.choice(letters) for _ in range(length))


def new_root_keys() -> RootKeys:
    """A pair of the lengths that AWS uses, which some clients insist on."""
    return RootKeys(_random(ACCESS_KEY_LETTERS, 20), _random(SECRET_KEY_LETTERS, 40))


def new_cluster_key() -> str:
    """The form that `chunkd.wire.ClusterKey.parse` reads."""
    return f"s3gate-cluster-v1:{secrets.token_hex(16)}:{secrets.token_hex(32)}"


def keep(path: Path, make: Callable[[], str]) -> str:
    """The file's text; made on the first call. The name appears only when the content is durable."""
    try:
        return path.read_text("ascii").strip()
    except FileNotFoundError:
        pass
    except UnicodeDecodeError:
        raise KeyFileError(f"{path} holds no text; is it another file?") from None
    text = make()
    write_secret(path, text)
    return text


def root_keys(path: Path, environ: Mapping[str, str]) -> RootKeys:
    """From the environment, else from the file, which is made once: access key and secret on two lines."""
    given = environ.get("S3GATE_ROOT_ACCESS_KEY", ""), environ.get("S3GATE_ROOT_SECRET_KEY", "")
    if all(given):
        return RootKeys(*given)
    lines = keep(path, lambda: "\n".join(new_root_keys())).split("\n")
    if len(lines) != 2:
        raise KeyFileError(f"{path}: expected two lines, the access key and the secret key")
    return RootKeys(*lines)
