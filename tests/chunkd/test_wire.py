"""The contract's pure parts: keys, signatures, lines, messages."""

from __future__ import annotations

import hashlib

import pytest

from chunkd import wire

KEY = wire.ClusterKey.parse(f"s3gate-cluster-v1:{'ab' * 16}:{'cd' * 32}")
SIGNED = {
    "method": "PUT",
    "target": "/shards/" + "0a" * 17,
    "node_id": "11" * 16,
    "incarnation": 7,
    "length": 10,
    "crc": "00000001",
}


def signed(**changes: object) -> str:
    given = {**SIGNED, "expiry": 1000, **changes}
    return wire.sign(KEY.derive(wire.REQUEST_PURPOSE)[0], **given)  # type: ignore[arg-type]


def verified(authorization: str | None, now: float = 900.0, **changes: object) -> str | None:
    given = {**SIGNED, "now": now, **changes}
    return wire.verify(KEY.derive(wire.REQUEST_PURPOSE), authorization, **given)  # type: ignore[arg-type]


def test_a_signature_is_good_for_what_was_signed() -> None:
    assert verified(signed()) is None
    assert verified(signed(), now=1000.0) is None


@pytest.mark.parametrize(
    "change",
    [
        {"method": "GET"},
        {"target": "/shards/" + "0b" * 17},
        {"node_id": "12" * 16},
        {"incarnation": 8},
        {"length": 11},
        {"crc": "00000002"},
        {"crc": wire.NO_CRC},
    ],
)
def test_each_field_is_covered(change: dict[str, object]) -> None:
    assert verified(signed(), **change) == "wrong signature or incarnation"


def test_a_signature_is_a_keyed_blake2b_of_its_lines() -> None:
    """Whoever speaks to a node without this code makes it so."""
    key = KEY.derive(wire.REQUEST_PURPOSE)[0]
    lines = f"PUT\n{SIGNED['target']}\n{SIGNED['node_id']}\n7\n1000\n10\n00000001".encode()
    mac = hashlib.blake2b(lines, key=key.key, digest_size=32).hexdigest()
    assert signed() == f"Chunkd {key.version}:1000:{mac}"


def test_time_limits_a_signature() -> None:
    assert verified(signed(), now=1000.5) == "expired signature: either it is old, or the clocks differ"
    too_long = verified(signed(expiry=900 + wire.MAX_SIGNATURE_SECONDS + 1))
    assert too_long == "a signature good for too long: either that was asked for, or the clocks differ"
    later = signed().replace(":1000:", ":1001:")
    assert verified(later) == "wrong signature or incarnation"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Chunkd",
        "Chunkd a:b",
        "Bearer x:1000:00",
        "Chunkd v:-5:00",
        "Chunkd v:01000:00",
        "Chunkd v:1e9:00",
        "Chunkd v:٣:00",
        "Chunkd v:1000:é",
        "Chunkd v:1000:00:00",
        "Chunkd v:9999999999999:00",
    ],
)
def test_malformed_signatures_are_refused(text: str) -> None:
    assert verified(text) is not None
    assert verified(None) == "no signature"


def test_both_secrets_verify_while_rotating_and_the_newest_signs() -> None:
    rotated = wire.ClusterKey(KEY.cluster_id, b"n" * 32, KEY.secret)
    assert wire.ClusterKey.parse(rotated.format()) == rotated
    keys = rotated.derive(wire.REQUEST_PURPOSE)
    assert wire.verify(keys, signed(), now=900.0, **SIGNED) is None  # type: ignore[arg-type]
    fresh = wire.sign(keys[0], expiry=1000, **SIGNED)  # type: ignore[arg-type]
    assert wire.verify(keys, fresh, now=900.0, **SIGNED) is None  # type: ignore[arg-type]
    assert verified(fresh) == "unknown key version"


def test_purposes_and_clusters_have_keys_of_their_own() -> None:
    other = wire.ClusterKey(b"x" * 16, KEY.secret)
    derived = {KEY.derive(wire.REQUEST_PURPOSE)[0].key, KEY.derive(wire.INTERNAL_PURPOSE)[0].key}
    derived.add(other.derive(wire.REQUEST_PURPOSE)[0].key)
    assert len(derived) == 3


@pytest.mark.parametrize(
    "text", ["", "x:y:z", f"s3gate-cluster-v1:{'ab' * 16}", f"s3gate-cluster-v1:{'AB' * 16}:{'cd' * 32}"]
)
def test_bad_keys_are_refused_and_secrets_stay_out_of_repr(text: str) -> None:
    with pytest.raises(wire.WireError):
        wire.ClusterKey.parse(text)
    assert "cd" * 32 not in repr(KEY)


def test_list_lines_round_trip() -> None:
    shard = wire.ListedShard(b"\x01" * 17, 5, 0xDEADBEEF, "live")
    line = wire.encode_line(shard.shard_id, shard.length, shard.crc32c, shard.state).encode()
    assert wire.decode_lines(line + line) == [shard, shard]
    assert wire.decode_lines(b"") == []


@pytest.mark.parametrize(
    "body", [b"x", b"x\n", b"\xff\n", b"01" * 17 + b" 5 0000000g live\n", b"01" * 17 + b" 5 00000000 gone\n"]
)
def test_malformed_lists_are_refused(body: bytes) -> None:
    with pytest.raises(wire.WireError):
        wire.decode_lines(body)


def test_messages_round_trip_and_grow() -> None:
    beat = wire.Heartbeat("a", 1, 2, 3, 4, "ok", 5, 0.5, 6)
    assert wire.Heartbeat.decode(beat.encode()) == beat
    assert wire.Heartbeat.decode(beat.encode()[:-1] + b',"new":[1]}') == beat


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"nul", b"{}", b'{"incarnation":true}', b'{"incarnation":-1}', b'{"incarnation":1.5}'],
)
def test_malformed_messages_are_refused(body: bytes) -> None:
    with pytest.raises(wire.WireError):
        wire.JoinAnswer.decode(body)
    with pytest.raises(wire.WireError):
        wire.JoinAnswer.decode(b'{"incarnation":' + str(2**63).encode() + b"}")


@pytest.mark.parametrize("text", ["", "0" * 33, "0" * 35, "A" * 34, "g" * 34, "\uff10" * 34])
def test_shard_ids_are_strict(text: str) -> None:
    with pytest.raises(wire.WireError):
        wire.parse_shard_id(text)
    assert wire.parse_shard_id("0a" * 17) == b"\n" * 17


def test_places_round_trip() -> None:
    place = wire.Place(65024, 77, "/data/a:b c\u00e4\udcff/packs/1", 4096, bytes(range(8)))
    text = place.encode()
    assert text.isascii() and " " not in text
    assert wire.Place.decode(text) == place


@pytest.mark.parametrize("text", ["", "1:2:3:00", "x:2:3:00:/p", "1:-2:3:00:/p", "1:2:3:0:/p", "1:2:3:zz:/p"])
def test_malformed_places_are_refused(text: str) -> None:
    with pytest.raises(wire.WireError):
        wire.Place.decode(text)
