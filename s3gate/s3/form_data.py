"""multipart/form-data as browsers send it: bytes in, fields and the pieces of one file out.

A push parser for PostObject: it keeps the fields before the file, hands on the file as it comes, and looks at what
follows only to see that the form ends. It knows neither S3's fields nor what becomes of the file.
"""

from __future__ import annotations

import re
from enum import Enum, auto

from s3gate.s3.errors import S3Error

FIELDS_LIMIT_BYTES = 20 * 1024
"""Everything before the content of the file, boundaries included, as S3 has it; and everything after it."""
BOUNDARY_LIMIT_CHARACTERS = 70

FILE_FIELD = "file"

_MEDIA_TYPE = re.compile(r"multipart/form-data[ \t]*(?:;|$)", re.IGNORECASE).match
_BOUNDARY = re.compile(r';[ \t]*boundary=(?:"([^"]+)"|([^\s;"]+))', re.IGNORECASE).search
_BOUNDARY_TEXT = re.compile(r"[0-9A-Za-z'()+_,./:=? -]*[0-9A-Za-z'()+_,./:=?-]").fullmatch
_PARAMETER = re.compile(r';[ \t]*([A-Za-z*]+)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s;"]*))').finditer
_PLAIN_ENCODINGS = frozenset((b"binary", b"7bit", b"8bit"))


class _State(Enum):
    PREAMBLE = auto()
    AFTER_BOUNDARY = auto()
    PART_HEAD = auto()
    FIELD = auto()
    FILE = auto()
    ENDED = auto()


def boundary_of(content_type: str | None) -> bytes:
    """What separates the parts, or the refusal of whatever is not a form."""
    if content_type is None or _MEDIA_TYPE(content_type) is None:
        condition = "Bucket POST must be of the enclosure-type multipart/form-data"
        raise S3Error.of("PreconditionFailed", Condition=condition)
    match = _BOUNDARY(content_type)
    boundary = (match[1] or match[2]) if match is not None else ""
    if len(boundary) > BOUNDARY_LIMIT_CHARACTERS or _BOUNDARY_TEXT(boundary) is None:
        raise malformed()
    return boundary.encode()


def malformed() -> S3Error:
    """The one answer to a body that is not a form."""
    return S3Error.of("MalformedPOSTRequest")


class FormData:
    """The parser. `fields` grow until `file_name` is not None: from then on `feed` returns pieces of the file."""

    __slots__ = ("_buffer", "_delimiter", "_name", "_other_bytes", "_state", "fields", "file_ended", "file_name")

    def __init__(self, boundary: bytes) -> None:
        self.fields: list[tuple[str, str]] = []
        self.file_name: str | None = None
        self.file_ended = False
        self._delimiter = b"\r\n--" + boundary
        self._buffer = b"\r\n"  # so that the first boundary looks like all others
        self._state = _State.PREAMBLE
        self._name = ""
        self._other_bytes = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Takes what has arrived; returns what of it belongs to the file. Raises S3Error."""
        buffer = self._buffer + data if self._buffer else data
        pieces: list[bytes] = []
        position, step = 0, self._step(buffer, 0, pieces)
        while step is not None:
            position, step = step, self._step(buffer, step, pieces)
        self._buffer = self._rest(buffer, position, pieces)
        self._other_bytes += len(data) - sum(map(len, pieces))
        if self._other_bytes > FIELDS_LIMIT_BYTES:
            raise S3Error.of("MaxPostPreDataLengthExceededError")
        return pieces

    def finish(self) -> None:
        """The body is over: MalformedPOSTRequest unless the form is, too."""
        if self._state is not _State.ENDED:
            raise malformed()

    def _step(self, buffer: bytes, position: int, pieces: list[bytes]) -> int | None:
        """Where the next step begins, or None when more has to arrive before it can be made."""
        if self._state is _State.ENDED:
            return None
        if self._state is _State.AFTER_BOUNDARY:
            return self._after_boundary(buffer, position)
        if self._state is _State.PART_HEAD:
            end = buffer.find(b"\r\n\r\n", position)
            if end < 0:
                return None
            self._begin_part(buffer[position:end])
            return end + 4
        end = buffer.find(self._delimiter, position)
        if end < 0:
            return None
        self._end_part(buffer[position:end], pieces)
        return end + len(self._delimiter)

    def _after_boundary(self, buffer: bytes, position: int) -> int | None:
        """Either its line ends and a part begins, or it is the last boundary of all."""
        if buffer.startswith(b"--", position):
            self._state = _State.ENDED
            return position
        end = buffer.find(b"\r\n", position)
        if end < 0:
            return None
        if buffer[position:end].strip(b" \t"):
            raise malformed()
        self._state = _State.PART_HEAD
        return end  # with its line break: should the part have no headers, the head is what is between two of them

    def _end_part(self, content: bytes, pieces: list[bytes]) -> None:
        if self._state is _State.FILE:
            self.file_ended = True
            if content:
                pieces.append(content)
        elif self._state is _State.FIELD and not self.file_ended:  # S3 ignores what follows the file
            self.fields.append((self._name, _text(content)))
        self._state = _State.AFTER_BOUNDARY

    def _rest(self, buffer: bytes, position: int, pieces: list[bytes]) -> bytes:
        """What has to be kept: of a file only what may be the beginning of a boundary, of an epilogue nothing."""
        if self._state is _State.ENDED:
            return b""
        if self._state is not _State.FILE:
            return buffer[position:]
        keep = max(position, len(buffer) - len(self._delimiter) + 1)
        if keep > position:
            pieces.append(buffer[position:keep])
        return buffer[keep:]

    def _begin_part(self, head: bytes) -> None:
        """Reads the headers of a part: its name, and whether it is the file."""
        disposition = ""
        for line in head.split(b"\r\n"):
            name, colon, value = line.partition(b":")
            if not line:
                continue
            if not colon:
                raise malformed()
            field = name.strip().lower()
            if field == b"content-disposition":
                disposition = _text(value.strip())
            elif field == b"content-transfer-encoding" and value.strip().lower() not in _PLAIN_ENCODINGS:
                raise malformed()
        parameters = _parameters(disposition)
        self._name = parameters.get("name", "")
        if not disposition.lower().startswith("form-data") or not self._name:
            raise malformed()
        if self._name.lower() == FILE_FIELD and not self.file_ended:
            self.file_name = _base_name(parameters.get("filename", ""))
            self._state = _State.FILE
        else:
            self._state = _State.FIELD


def _parameters(disposition: str) -> dict[str, str]:
    """The parameters of a Content-Disposition. Only a quotation mark is escaped: old browsers send whole paths."""
    return {
        match[1].lower(): match[2].replace('\\"', '"') if match[2] is not None else match[3]
        for match in _PARAMETER(disposition)
    }


def _base_name(path: str) -> str:
    return path.replace("\\", "/").rpartition("/")[2]


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise malformed() from None
