"""Records and files as bytes: every flip and every cut is noticed."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chunkd.blocks import crc32c, make_table, matches, span
from chunkd.disk import Disk
from chunkd.files import FOOTER_BYTES, Footer, decode_footer, encode_footer
from chunkd.packs import Draft, PackWriter, pack_path
from chunkd.records import HEADER_BYTES, PURGE, PUT, Record, decode_head, encode_head, pack_salt, record_bytes
from chunkd.scan import Found, Gap, PackScan

SALT = pack_salt(b"s" * 16, 1)

heads = st.builds(
    lambda kind, shard_id, length, crc, batch, time, reference, start, offset, table: Record(
        kind, shard_id, length, crc, batch, time, reference, start * 64, offset * 64, table
    ),
    st.integers(PUT, PURGE),
    st.binary(min_size=17, max_size=17),
    st.integers(0, 65536),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**64 - 1),
    st.integers(0, 2**64 - 1),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**22),
    st.just(b""),
).map(lambda r: r._replace(table=b"tabl" if r.length else b""))


@given(heads)
def test_a_head_reads_as_it_was_written(record: Record) -> None:
    data = b"x" * 64 + encode_head(SALT, *record) + b"body"
    assert decode_head(data, 64, record.offset, SALT) == record


@given(heads, st.data())
def test_any_flipped_bit_of_a_head_is_noticed(record: Record, data: st.DataObject) -> None:
    head = bytearray(encode_head(SALT, *record))
    bit = data.draw(st.integers(0, len(head) * 8 - 1))
    head[bit // 8] ^= 1 << bit % 8
    assert decode_head(head, 0, record.offset, SALT) is None


@given(heads, st.data())
def test_any_cut_of_a_head_is_noticed(record: Record, data: st.DataObject) -> None:
    head = encode_head(SALT, *record)
    assert decode_head(head[: data.draw(st.integers(0, len(head) - 1))], 0, record.offset, SALT) is None


@given(heads)
def test_a_record_is_valid_in_its_own_place_only(record: Record) -> None:
    head = encode_head(SALT, *record)
    assert decode_head(head, 0, record.offset + 64, SALT) is None
    assert decode_head(head, 0, record.offset, pack_salt(b"s" * 16, 2)) is None
    assert decode_head(head, 0, record.offset, pack_salt(b"t" * 16, 1)) is None


@given(st.integers(1, 200_000), st.data())
def test_any_flipped_byte_of_a_body_is_noticed(length: int, data: st.DataObject) -> None:
    body = bytearray(random.Random(length).randbytes(length))
    table = make_table(body, crc32c(body))
    start = data.draw(st.integers(0, length - 1))
    stop = data.draw(st.integers(start + 1, length))
    first, last = span(start, stop, length)
    assert first <= start < stop <= last
    assert matches(table, first // 65536, memoryview(body)[first:last])
    body[data.draw(st.integers(first, last - 1))] ^= 0xFF
    assert not matches(table, first // 65536, memoryview(body)[first:last])


@given(st.binary(min_size=17, max_size=17), st.integers(0, 2**40), st.data())
def test_any_flipped_bit_of_a_footer_is_noticed(shard_id: bytes, length: int, data: st.DataObject) -> None:
    footer = Footer(shard_id, length, 1, 2, 3)
    encoded = bytearray(encode_footer(footer))
    assert decode_footer(bytes(encoded)) == footer and len(encoded) == FOOTER_BYTES
    bit = data.draw(st.integers(0, len(encoded) * 8 - 1))
    encoded[bit // 8] ^= 1 << bit % 8
    assert decode_footer(bytes(encoded)) is None


@pytest.fixture
def pack(tmp_path: Path) -> tuple[Path, list[bytes]]:
    """A pack with three batches of bodies."""
    random_ = random.Random(7)
    bodies = [random_.randbytes(size) for size in (0, 1, 63, 64, 5000, 70_000)]
    writer = PackWriter(tmp_path, Disk(), b"s" * 16, number=1, tail=0, pack_bytes=1 << 20)
    for batch in range(3):
        drafts = [Draft(PUT, bytes(16) + bytes([n]), 5, b, crc32c(b)) for n, b in enumerate(bodies)]
        assert writer.append(batch + 1, drafts)[0] == 1
    writer.fill(8192)
    writer.close()
    return pack_path(tmp_path, 1), bodies


def _walk(path: Path) -> list[Found | Gap]:
    fd = os.open(path, os.O_RDONLY)
    try:
        return list(PackScan(Disk(), fd, SALT).walk(0))
    finally:
        os.close(fd)


def test_a_walk_finds_what_was_appended(pack: tuple[Path, list[bytes]]) -> None:
    path, bodies = pack
    events = _walk(path)
    assert len(events) == 3 * len(bodies)
    end = 0
    for event in events:
        assert isinstance(event, Found) and event.intact and event.record.offset == end
        end = event.record.end
    assert end == 3 * sum(record_bytes(len(body)) for body in bodies)


def test_a_walk_notices_every_damaged_byte(pack: tuple[Path, list[bytes]]) -> None:
    """And goes on with the next record behind it."""
    path, _ = pack
    content = path.read_bytes()
    whole = [event for event in _walk(path) if isinstance(event, Found)]
    random_ = random.Random(9)
    for event in whole:
        record = event.record
        used = HEADER_BYTES + len(record.table) + record.length
        for at in {0, 3, 4, 40, HEADER_BYTES - 1, random_.randrange(used), used - 1}:
            damaged = bytearray(content)
            damaged[record.offset + at] ^= 0x10
            path.write_bytes(damaged)
            events = _walk(path)
            bad = [e for e in events if isinstance(e, Gap) or not e.intact]
            assert len(bad) == 1
            good = [e.record for e in events if isinstance(e, Found) and e.intact]
            assert good == [e.record for e in whole if e.record != record]


def test_a_body_that_holds_records_is_not_taken_for_them(tmp_path: Path) -> None:
    """Somebody stores a copy of this very pack, and its own record is damaged."""
    writer = PackWriter(tmp_path, Disk(), b"s" * 16, number=1, tail=0, pack_bytes=1 << 20)
    inner = b"inner" * 100
    writer.append(1, [Draft(PUT, b"a" * 17, 5, inner, crc32c(inner))])
    copy = pack_path(tmp_path, 1).read_bytes()
    body = bytes(-(64 + 4) % 64) + copy * 3
    writer.append(2, [Draft(PUT, b"b" * 17, 5, body, crc32c(body))])
    writer.close()
    path = pack_path(tmp_path, 1)
    content = bytearray(path.read_bytes())
    content[len(copy) + 10] ^= 1
    path.write_bytes(content)
    found = [e.record.shard_id for e in _walk(path) if isinstance(e, Found)]
    assert found == [b"a" * 17]


def test_zeros_are_written_ahead_of_small_batches_only(tmp_path: Path) -> None:
    """Ahead of large ones they would be every byte's second write."""
    writer = PackWriter(tmp_path, Disk(), b"s" * 16, number=1, tail=0, pack_bytes=1 << 26)

    def append(batch: int, size: int) -> None:
        body = bytes(size)
        writer.append(batch, [Draft(PUT, bytes(17), 5, body, crc32c(body))])

    append(1, 4096)
    assert writer.needs_fill(8 << 20)
    for batch in range(2, 12):
        append(batch, 1 << 20)
    assert not writer.needs_fill(8 << 20)
    for batch in range(12, 40):
        append(batch, 4096)
    assert writer.needs_fill(8 << 20)
    writer.close()
