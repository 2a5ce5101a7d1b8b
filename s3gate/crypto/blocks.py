"""Sealed bytes: AES-256-GCM over blocks of 64 KiB, so that a range opens only the blocks it touches.

    sealed block = block ‖ tag (16)          nonce = the block's number, 12 bytes, big endian
    associated data = the block's number, 8 bytes, and 1 if it is the last one, else 0

Every content has a key of its own, so a nonce is used once. A block that was changed, swapped, moved or left out
does not open, nor does a content that was cut at a block's end: the last block says that it is the last. Pure: it
knows neither where the key comes from nor where the bytes lie.
"""

from __future__ import annotations

from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import ECB

from s3gate.crypto.derivation import derive
from s3gate.crypto.errors import Tampered

BLOCK_BYTES = 64 * 1024
TAG_BYTES = 16
SEALED_BLOCK_BYTES = BLOCK_BYTES + TAG_BYTES

Bytes = bytes | bytearray | memoryview


def sealed_length(length: int) -> int:
    """How long the sealed form of `length` bytes is. Nothing stays nothing."""
    return length + TAG_BYTES * -(-length // BLOCK_BYTES)


class Window(NamedTuple):
    """The sealed bytes [start, stop) that a range needs, the number of their first block, and what to skip of it."""

    first_block: int
    start: int
    stop: int
    skip: int


def window(length: int, start: int, stop: int) -> Window:
    """Where the bytes [start, stop) of a content of `length` bytes lie in its sealed form. Not for an empty range."""
    first, skip = divmod(start, BLOCK_BYTES)
    behind = -(-stop // BLOCK_BYTES)
    return Window(first, first * SEALED_BLOCK_BYTES, min(behind * SEALED_BLOCK_BYTES, sealed_length(length)), skip)


class ContentKey:
    """Seals and opens the blocks of one content. Made of an object's data key and the content's salt."""

    __slots__ = ("_aead", "_data_key", "_salt")

    def __init__(self, data_key: bytes, salt: bytes) -> None:
        self._data_key = data_key
        self._salt = salt
        self._aead = AESGCM(derive(data_key, salt, b"s3gate content"))

    def seal_block(self, plain: Bytes, number: int, last: bool, out: memoryview) -> None:
        """Seals one block into `out`, which is 16 bytes longer."""
        self._aead.encrypt_into(number.to_bytes(12, "big"), plain, _place(number, last), out)

    def open_block(self, sealed: Bytes, number: int, last: bool, out: memoryview) -> None:
        """Opens one block into `out`, which is 16 bytes shorter, or raises Tampered."""
        try:
            self._aead.decrypt_into(number.to_bytes(12, "big"), sealed, _place(number, last), out)
        except InvalidTag:
            raise Tampered(f"block {number} is not what was sealed") from None

    def etag(self, md5: bytes) -> bytes:
        """A tag that tells nothing about the MD5 to whoever lacks the key, and the MD5 to whoever has it.

        It is a keyed permutation of one block (AES-256): so that a copy under another scheme, which has to show
        another ETag for the same content, need not read it.
        """
        return self._permutation().encryptor().update(md5)

    def md5(self, etag: bytes) -> bytes:
        """The inverse of `etag`."""
        return self._permutation().decryptor().update(etag)

    def _permutation(self) -> Cipher[ECB]:
        return Cipher(AES256(derive(self._data_key, self._salt, b"s3gate etag")), ECB())


class DataKey:
    """The key of an object, from which each of its contents has one: that in one piece, and every part."""

    __slots__ = ("_key", "_salt")

    def __init__(self, key: bytes, salt: bytes) -> None:
        self._key = key
        self._salt = salt

    def content(self, salt: bytes = b"") -> ContentKey:
        """Of a part by its salt, or of an object in one piece."""
        return ContentKey(self._key, salt or self._salt)


class Sealer:
    """A content on its way out, in rows (or in one): takes plain bytes in order, gives sealed ones."""

    __slots__ = ("_blocks", "_carry", "_key", "_next")

    def __init__(self, key: ContentKey, length: int) -> None:
        self._key = key
        self._blocks = -(-length // BLOCK_BYTES)
        self._next = 0
        self._carry: memoryview = memoryview(b"")

    def fill(self, row: memoryview, plain: memoryview) -> None:
        """Writes the next sealed bytes into `row`. `plain` has the blocks that begin in them, as `plain_rows` tells.

        The row comes from outside, because this may run in a thread: memory that a thread takes stays its own.
        """
        size = len(row)
        filled = min(len(self._carry), size)
        row[:filled] = self._carry[:filled]
        self._carry = self._carry[filled:]
        for start in range(0, len(plain), BLOCK_BYTES):
            block = plain[start : start + BLOCK_BYTES]
            number, last = self._next, self._next == self._blocks - 1
            self._next += 1
            end = filled + len(block) + TAG_BYTES
            if end <= size:
                self._key.seal_block(block, number, last, row[filled:end])
            else:
                sealed = memoryview(bytearray(len(block) + TAG_BYTES))
                self._key.seal_block(block, number, last, sealed)
                row[filled:] = sealed[: size - filled]
                self._carry = sealed[size - filled :]
            filled = end


def plain_rows(length: int, row_bytes: int) -> list[tuple[int, int]]:
    """For each row of a sealed content: its length, and how many plain bytes begin in it (none, in a last rest)."""
    total = sealed_length(length)
    rows = []
    taken = 0
    for start in range(0, total, row_bytes):
        size = min(row_bytes, total - start)
        plain = min(length, -(-(start + size) // SEALED_BLOCK_BYTES) * BLOCK_BYTES)
        rows.append((size, plain - taken))
        taken = plain
    return rows


class Opener:
    """A range on its way in: takes sealed bytes in order as they come, gives what is plain of them by then."""

    __slots__ = ("_carry", "_end", "_key", "_last", "_next", "_skip")

    def __init__(self, key: ContentKey, length: int, start: int, stop: int) -> None:
        self._key = key
        self._last = (length - 1) // BLOCK_BYTES
        self._next, _, _, self._skip = window(length, start, stop)
        self._end = stop - self._next * BLOCK_BYTES  # of what follows, with what is to be skipped
        self._carry = bytearray()

    def feed(self, piece: Bytes) -> memoryview:
        """The plain bytes of the blocks that `piece` completes. Raises Tampered."""
        view, carry = memoryview(piece), self._carry
        head: Bytes = b""
        if carry:
            taken = min(SEALED_BLOCK_BYTES - len(carry), len(view))
            carry += view[:taken]
            view = view[taken:]
            if len(carry) == SEALED_BLOCK_BYTES:
                head, self._carry = carry, bytearray()
        whole = len(view) - len(view) % SEALED_BLOCK_BYTES if not self._carry else 0
        if whole != len(view):
            self._carry += view[whole:]
        return self._opened(head, view[:whole])

    def finish(self) -> memoryview:
        """The rest: what a last, shorter block held. Raises Tampered when the range is not complete."""
        rest, self._carry = self._carry, bytearray()
        if rest and len(rest) <= TAG_BYTES:
            raise Tampered("sealed bytes end within a block")
        plain = self._opened(rest, memoryview(b""))
        if self._end > 0:
            raise Tampered("sealed bytes end before the range does")
        return plain

    def _opened(self, head: Bytes, body: memoryview) -> memoryview:
        size = max(len(head) - TAG_BYTES, 0) + len(body) // SEALED_BLOCK_BYTES * BLOCK_BYTES
        plain = memoryview(bytearray(size))
        filled = 0
        if head:
            filled = len(head) - TAG_BYTES
            self._open(head, plain[:filled])
        for start in range(0, len(body), SEALED_BLOCK_BYTES):
            self._open(body[start : start + SEALED_BLOCK_BYTES], plain[filled : filled + BLOCK_BYTES])
            filled += BLOCK_BYTES
        begin, self._skip = min(self._skip, size), max(self._skip - size, 0)
        until, self._end = max(min(self._end, size), 0), self._end - size
        return plain[begin:until]

    def _open(self, sealed: Bytes, out: memoryview) -> None:
        self._key.open_block(sealed, self._next, self._next == self._last, out)
        self._next += 1


def _place(number: int, last: bool) -> bytes:
    return number.to_bytes(8, "big") + (b"\1" if last else b"\0")
