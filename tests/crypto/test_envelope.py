"""Envelopes, the key file and its keeper: nothing opens in another place, under another key, or after a change."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3gate.crypto.derivation import unwrap, wrap
from s3gate.crypto.envelope import Envelope, Scheme
from s3gate.crypto.errors import KeyDisabled, KeyFileError, KeyNotFound, Tampered
from s3gate.crypto.keyfile import DEFAULT_ALIAS, KeyFile
from s3gate.crypto.kms import LocalKms, Wrapped

ENVELOPES = st.builds(
    Envelope,
    st.sampled_from(Scheme),
    st.binary(min_size=16, max_size=16),
    st.binary(max_size=255),
    st.text(max_size=50).filter(lambda text: text.isprintable()),
    st.integers(0, 2**32 - 1),
    st.binary(max_size=300),
    st.booleans(),
)


@given(ENVELOPES)
def test_an_envelope_is_read_as_it_was_written(envelope: Envelope) -> None:
    assert Envelope.decode(envelope.encode()) == envelope


@given(ENVELOPES, st.data())
def test_what_is_no_envelope_is_refused(envelope: Envelope, data: st.DataObject) -> None:
    encoded = envelope.encode()
    cut = data.draw(st.integers(0, len(encoded) - 1))
    for wrong in (encoded[:cut], encoded + b"x", b"\2" + encoded[1:], encoded[:1] + b"\7" + encoded[2:]):
        with pytest.raises(Tampered):
            Envelope.decode(wrong)


def test_a_data_key_is_wrapped_for_its_place_and_everything_beside_it() -> None:
    envelope = Envelope(Scheme.SSE_KMS, b"s" * 16, key_name="key", context=b"{}")
    blob = wrap(b"m" * 32, b"d" * 32, envelope.bound_to(1, b"key"))
    moved = Envelope(Scheme.SSE_KMS, b"t" * 16, key_name="key", context=b"{}")
    rewrapped = Envelope(Scheme.SSE_KMS, b"s" * 16, b"other", "key", 7, b"{}")
    assert unwrap(b"m" * 32, blob, rewrapped.bound_to(1, b"key")) == b"d" * 32
    for context in (envelope.bound_to(2, b"key"), envelope.bound_to(1, b"kez"), moved.bound_to(1, b"key")):
        with pytest.raises(Tampered):
            unwrap(b"m" * 32, blob, context)
    with pytest.raises(Tampered):
        unwrap(b"n" * 32, blob, envelope.bound_to(1, b"key"))
    assert wrap(b"m" * 32, b"d" * 32, b"") != wrap(b"m" * 32, b"d" * 32, b"")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    KeyFile.fresh().write(tmp_path / "kms.json")
    return tmp_path / "kms.json"


def local(path: Path) -> LocalKms:
    return LocalKms(path, "eu-west-1", "000000000001")


def disable(path: Path, name: str) -> None:
    found = json.loads(path.read_text())
    found["keys"][name]["enabled"] = False
    path.write_text(json.dumps(found))


def spoil(path: Path, text: str | None) -> None:
    path.unlink()
    if text is not None:
        path.write_text(text)


def test_a_key_file_is_for_its_owner_and_read_as_written(path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    file = KeyFile.read(path).with_key("mine")
    assert KeyFile.parse(file.text()) == file
    secret = next(iter(file.keys["mine"].versions.values()))
    assert secret.hex() not in repr(file) and repr(secret) not in repr(file)


async def test_names_arns_and_aliases_mean_a_key(path: Path) -> None:
    kms, file = local(path), KeyFile.read(path)
    default = file.default
    arn = f"arn:aws:kms:eu-west-1:000000000001:key/{default}"
    for text in ("", default, arn, DEFAULT_ALIAS, f"arn:aws:kms:eu-west-1:000000000001:{DEFAULT_ALIAS}"):
        assert await kms.resolve(text) == default
    assert kms.arn(default) == arn
    for text in ("nobody", file.sse_s3, arn.replace("eu-west-1", "us-east-1"), arn + "x", "alias/other"):
        with pytest.raises(KeyNotFound):
            await kms.resolve(text)


async def test_a_rotation_is_noticed_and_old_versions_go_on_opening(path: Path) -> None:
    kms, name = local(path), KeyFile.read(path).default
    old = await kms.wrap(name, b"d" * 32, b"context")
    KeyFile.read(path).with_versions([name]).write(path)
    assert await kms.current_version(name) == 2
    new = await kms.wrap(name, b"d" * 32, b"context")
    assert (old.version, new.version) == (1, 2)
    assert await kms.unwrap(name, old, b"context") == await kms.unwrap(name, new, b"context") == b"d" * 32
    with pytest.raises(Tampered):
        await kms.unwrap(name, new, b"another")
    with pytest.raises(Tampered):
        await kms.unwrap(name, Wrapped(1, new.blob), b"context")
    with pytest.raises(KeyNotFound):
        await kms.unwrap(name, Wrapped(3, new.blob), b"context")


async def test_a_disabled_key_does_nothing(path: Path) -> None:
    kms, name = local(path), KeyFile.read(path).default
    disable(path, name)
    with pytest.raises(KeyDisabled):
        await kms.wrap(name, b"d" * 32, b"")


async def test_a_file_that_breaks_while_it_is_used_leaves_the_keys_that_were_read(path: Path) -> None:
    kms, name = local(path), KeyFile.read(path).default
    spoil(path, "{")
    assert await kms.resolve("") == name
    spoil(path, None)
    assert await kms.resolve("") == name


@pytest.mark.parametrize("change", ["format", "sse-s3", "default", "keys"])
def test_a_file_without_something_is_refused(path: Path, change: str) -> None:
    found = json.loads(path.read_text())
    del found[change]
    with pytest.raises(KeyFileError):
        KeyFile.parse(json.dumps(found))
    found[change] = 7
    with pytest.raises(KeyFileError):
        KeyFile.parse(json.dumps(found))


@pytest.mark.parametrize(
    "text", ["", "[]", "null", "{}", '{"keys": []}', '{"keys": {"a": {"versions": {"1": "AA=="}}}}']
)
def test_what_is_no_key_file_is_refused(text: str) -> None:
    with pytest.raises(KeyFileError):
        KeyFile.parse(text)


def test_a_missing_file_is_a_key_file_error(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="nowhere"):
        KeyFile.read(tmp_path / "nowhere")


def test_names_of_new_keys_are_checked(path: Path) -> None:
    file = KeyFile.read(path)
    for name in ("", "a/b", "x" * 129, file.default):
        with pytest.raises(KeyFileError):
            file.with_key(name)
    with pytest.raises(KeyNotFound):
        file.with_versions(["nobody"])
    assert len(os.listdir(path.parent)) == 1
