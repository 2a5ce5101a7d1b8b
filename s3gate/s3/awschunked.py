"""The aws-chunked framing of a body: fed with what arrives, it gives back the payload.

    body    = *chunk last-chunk *trailer [trailer-signature] CRLF
    chunk   = hex-size [";chunk-signature=" 64 hex] CRLF data CRLF
    trailer = name ":" value (LF | CRLF)

A push decoder: it reads nothing itself, copies no payload (the slices are views of what was fed) and keeps at
most one line. It does not know checksums: trailers are handed over by `finish`, and nothing may be committed
before `finish` has returned (law 12).
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Sequence
from enum import Enum
from hashlib import sha256

from s3gate.s3.credentials import Authentication, PayloadMode
from s3gate.s3.errors import S3Error
from s3gate.s3.request import Headers

MAX_LINE_BYTES = 1024
MIN_CHUNK_BYTES = 8192
"""Every chunk but the last one has at least this much, be it signed or not."""
MAX_TRAILER_LINES = 16
LENGTH_HEADER = "x-amz-decoded-content-length"
TRAILER_SIGNATURE = "x-amz-trailer-signature"

_EMPTY_SHA256 = sha256().hexdigest()
# Sixteen digits are more than any object has; int() would take any number of them.
_SIGNED_HEADER = re.compile(rb"([0-9a-fA-F]{1,16});chunk-signature=([0-9a-f]{64})\r\n").fullmatch
_UNSIGNED_HEADER = re.compile(rb"([0-9a-fA-F]{1,16})[ \t]*(;[^\r\n]*)?\r\n").fullmatch
_TRAILER = re.compile(rb"([A-Za-z0-9-]+)[ \t]*:([\t\x20-\x7e]*)\r?\n").fullmatch


class _Awaits(Enum):
    HEADER = "the header of a chunk"
    DATA = "the data of a chunk"
    DATA_END = "the end of a chunk"
    TRAILER = "a trailer or the end"
    NOTHING = "nothing more"


def decoded_length(headers: Headers) -> int:
    """How long the payload will be, which a framed body must say beforehand. What is no length says nothing."""
    text = headers.get(LENGTH_HEADER) or ""
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):
        raise S3Error.of("MissingContentLength")
    return int(text)


class Decoder:
    """Decodes one body; `trailers` are the names that x-amz-trailer announced, in lower case.

    After an error it must not be fed again. Hashing signed chunks takes time: feed large pieces in a thread.
    """

    __slots__ = (
        "_announced",
        "_awaits",
        "_chunk_hash",
        "_chunk_signature",
        "_chunks",
        "_header_form",
        "_left",
        "_length",
        "_line",
        "_received",
        "_signer",
        "_size",
        "_trailer_lines",
        "_trailer_text",
        "_trailers",
        "_with_trailer",
    )

    def __init__(
        self, mode: PayloadMode, decoded_length: int, signing: Authentication, trailers: Sequence[str] = ()
    ) -> None:
        if not mode.streaming:
            raise ValueError(f"a body under {mode} is not framed")
        self._signer = _Chain(signing) if mode.signs_chunks else None
        self._header_form = _SIGNED_HEADER if mode.signs_chunks else _UNSIGNED_HEADER
        self._with_trailer = mode.has_trailer
        self._announced = frozenset(trailers)
        self._length = decoded_length
        self._awaits = _Awaits.HEADER
        self._line = b""
        self._size = MIN_CHUNK_BYTES
        self._left = 0
        self._received = 0
        self._chunks = 0
        self._chunk_hash = sha256()
        self._chunk_signature = b""
        self._trailers: dict[str, str] = {}
        self._trailer_text = b""
        self._trailer_lines = 0

    def feed(self, data: bytes | bytearray | memoryview) -> list[memoryview]:
        """The payload in `data`, in order. It is not trustworthy before `finish` has returned."""
        view = memoryview(data)
        end = len(view)
        position = 0
        payload = []
        while position < end:
            if self._awaits is _Awaits.DATA:
                piece = view[position : position + self._left]
                position += len(piece)
                self._take_data(piece)
                payload.append(piece)
            elif self._awaits is _Awaits.NOTHING:
                raise _malformed("The body goes on after its end")
            else:
                position = self._gather_line(view, position)
        return payload

    def finish(self) -> dict[str, str]:
        """The trailers, once the body is over. Raises what is wrong with a body that is not complete."""
        if self._awaits is not _Awaits.NOTHING:
            if self._signer is not None and self._trailers and TRAILER_SIGNATURE not in self._trailers:
                raise S3Error.of("MalformedTrailerError")
            raise _malformed(f"The body ended before {self._awaits.value}")
        return self._trailers

    def _gather_line(self, view: memoryview, position: int) -> int:
        """Takes up to the end of the line, acts on it if it is whole, and says where to go on."""
        room = MAX_LINE_BYTES - len(self._line)
        window = view[position : position + room].tobytes()
        stop = window.find(b"\n") + 1
        if stop:
            line = self._line + window[:stop]
            self._line = b""
            self._take_line(line)
            return position + stop
        if len(window) == room:
            raise _malformed(f"A line is longer than {MAX_LINE_BYTES} bytes")
        self._line += window
        return position + len(window)

    def _take_line(self, line: bytes) -> None:
        if self._awaits is _Awaits.HEADER:
            self._take_header(line)
        elif self._awaits is _Awaits.TRAILER:
            self._take_trailer(line)
        elif line == b"\r\n":
            self._awaits = _Awaits.HEADER
        else:
            raise _malformed("A chunk does not end where its size says")

    def _take_header(self, line: bytes) -> None:
        match = self._header_form(line)
        if match is None:
            raise _malformed("The header of a chunk is not well-formed")
        size = int(match[1], 16)
        if self._received + size > self._length or (size == 0 and self._received != self._length):
            raise _malformed(f"The body does not have the {self._length} bytes that {LENGTH_HEADER} says")
        self._chunks += 1
        if size and self._size < MIN_CHUNK_BYTES:
            # S3 names the chunk at which it is noticed, and the size of the one before.
            raise S3Error.of("InvalidChunkSizeError", Chunk=str(self._chunks), BadChunkSize=str(self._size))
        if self._signer is not None:
            if not size:
                self._signer.check_chunk(_EMPTY_SHA256, match[2])
            self._chunk_hash = sha256()
            self._chunk_signature = match[2]
        self._size = self._left = size
        self._awaits = _Awaits.DATA if size else _Awaits.TRAILER

    def _take_data(self, piece: memoryview) -> None:
        self._left -= len(piece)
        self._received += len(piece)
        if self._signer is not None:
            self._chunk_hash.update(piece)
            if not self._left:
                self._signer.check_chunk(self._chunk_hash.hexdigest(), self._chunk_signature)
        if not self._left:
            self._awaits = _Awaits.DATA_END

    def _take_trailer(self, line: bytes) -> None:
        """A trailer, its signature, or the empty line that ends the body."""
        self._trailer_lines += 1
        if line == b"\r\n":
            # AWS documents a form with an empty line before the signature: under a signature the section
            # is over when the signature has been seen.
            if self._signer is None or not self._with_trailer or TRAILER_SIGNATURE in self._trailers:
                self._end()
            elif self._trailer_lines > MAX_TRAILER_LINES:
                raise S3Error.of("MalformedTrailerError")
            return
        match = _TRAILER(line)
        if match is None or not self._with_trailer or self._trailer_lines > MAX_TRAILER_LINES:
            raise S3Error.of("MalformedTrailerError")
        name, value = match[1].lower().decode(), match[2].strip()
        if name in self._trailers or TRAILER_SIGNATURE in self._trailers:
            raise S3Error.of("MalformedTrailerError")
        if name == TRAILER_SIGNATURE and self._signer is not None:
            self._signer.check_trailer(sha256(self._trailer_text).hexdigest(), value)
        elif name not in self._announced:
            raise S3Error.of("MalformedTrailerError")
        self._trailers[name] = value.decode()
        self._trailer_text += b"%b:%b\n" % (name.encode(), value)

    def _end(self) -> None:
        self._trailers.pop(TRAILER_SIGNATURE, None)
        if self._trailers.keys() != self._announced:
            raise S3Error.of("MalformedTrailerError")
        self._awaits = _Awaits.NOTHING


class _Chain:
    """The chain of signatures: each is computed over the one before, the first over the request's own."""

    __slots__ = ("_context", "_key", "_previous")

    def __init__(self, signing: Authentication) -> None:
        self._key = signing.signing_key
        self._context = f"{signing.timestamp}\n{signing.scope}"
        self._previous = signing.seed_signature

    def check_chunk(self, data_sha256: str, given: bytes) -> None:
        self._check(f"AWS4-HMAC-SHA256-PAYLOAD\n{self._context}\n{{}}\n{_EMPTY_SHA256}\n{data_sha256}", given)

    def check_trailer(self, trailer_sha256: str, given: bytes) -> None:
        self._check(f"AWS4-HMAC-SHA256-TRAILER\n{self._context}\n{{}}\n{trailer_sha256}", given)

    def _check(self, form: str, given: bytes) -> None:
        to_sign = form.format(self._previous)
        expected = hmac.digest(self._key, to_sign.encode(), "sha256").hex()
        if not hmac.compare_digest(expected.encode(), given):
            raise S3Error.of("SignatureDoesNotMatch", StringToSign=to_sign, SignatureProvided=given.decode("latin-1"))
        self._previous = expected


def _malformed(message: str) -> S3Error:
    return S3Error.of("IncompleteBody", f"The request body terminated unexpectedly: {message}")
