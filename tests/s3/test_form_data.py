"""multipart/form-data: whole, byte by byte, cut short, and as it must not be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3gate.s3.errors import S3Error
from s3gate.s3.form_data import FIELDS_LIMIT_BYTES, FormData, boundary_of

BOUNDARY = b"----WebKitFormBoundaryAbC"
PART = b'Content-Disposition: form-data; name="key"\r\n\r\n'


def part(name: str, value: bytes, *, more: str = "", head: bytes = b"") -> bytes:
    line = f'Content-Disposition: form-data; name="{name}"{more}\r\n'.encode()
    return b"--" + BOUNDARY + b"\r\n" + line + head + b"\r\n" + value + b"\r\n"


def form(*parts: bytes, end: bytes = b"--" + BOUNDARY + b"--\r\n") -> bytes:
    return b"".join(parts) + end


def parse(body: bytes, step: int = 0) -> tuple[FormData, bytes]:
    parser = FormData(BOUNDARY)
    size = step or len(body) or 1
    found = [piece for start in range(0, len(body), size) for piece in parser.feed(body[start : start + size])]
    parser.finish()
    return parser, b"".join(found)


SAMPLE = form(
    part("key", b"a/${filename}"),
    part("empty", b""),
    part("Multi", "zwei\r\nZeilen ü".encode()),
    part("file", b"\r\n--the\r\ncontent\r\n", more='; filename="x.txt"', head=b"Content-Type: text/plain\r\n"),
    part("submit", b"ignored"),
)


@pytest.mark.parametrize("step", [0, 1, 2, 3, 7, 64, 100])
def test_fields_and_the_file_in_pieces_of_any_size(step: int) -> None:
    parser, data = parse(SAMPLE, step)
    assert parser.fields == [("key", "a/${filename}"), ("empty", ""), ("Multi", "zwei\r\nZeilen ü")]
    assert parser.file_name == "x.txt" and parser.file_ended
    assert data == b"\r\n--the\r\ncontent\r\n"


@given(st.binary(max_size=400), st.integers(1, 50))
def test_any_content_comes_out_as_it_went_in(content: bytes, step: int) -> None:
    parser, data = parse(form(part("key", b"k"), part("file", content)), step)
    assert data == content and parser.file_name == ""


def test_the_file_is_handed_on_as_it_comes() -> None:
    parser = FormData(BOUNDARY)
    parser.feed(part("key", b"k") + part("file", b"")[:-2])
    assert parser.file_name == "" and not parser.file_ended
    kept = len(BOUNDARY) + 3
    assert sum(map(len, parser.feed(b"x" * 100_000))) == 100_000 - kept
    assert sum(map(len, parser.feed(b"x" * 100_000))) == 100_000


def test_every_prefix_of_a_form_is_not_one() -> None:
    whole = form(part("key", b"k"), part("file", b"content"), end=b"--" + BOUNDARY + b"--")
    for end in range(len(whole)):
        with pytest.raises(S3Error, match="MalformedPOSTRequest"):
            parse(whole[:end])
    parse(whole)
    parse(b"preamble\r\n" + whole + b"\r\nepilogue" * 100)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no form",
        form(b"--" + BOUNDARY + b"junk\r\nContent-Disposition: form-data; name=x\r\n\r\n\r\n"),
        form(b"--" + BOUNDARY + b"\r\n\r\nno head\r\n"),
        form(b"--" + BOUNDARY + b"\r\nContent-Type: text/plain\r\n\r\nno name\r\n"),
        form(b"--" + BOUNDARY + b"\r\nnonsense\r\n\r\nx\r\n"),
        form(b"--" + BOUNDARY + b'\r\nContent-Disposition: attachment; name="x"\r\n\r\nx\r\n'),
        form(part("bad\xff", b"")).replace("bad\xff".encode(), b"bad\xff"),
        form(part("x", b"\xff\xfe")),
        form(part("x", b"aGk=", head=b"Content-Transfer-Encoding: base64\r\n")),
    ],
)
def test_what_is_no_form_is_malformed(body: bytes) -> None:
    for step in (0, 1):
        with pytest.raises(S3Error, match="MalformedPOSTRequest"):
            parse(body, step)


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        ('filename="plain.txt"', "plain.txt"),
        ('filename="C:\\dir\\file.txt"', "file.txt"),
        ('filename="a/b/c.txt"', "c.txt"),
        ('filename="say \\"hi\\".txt"', 'say "hi".txt'),
        ('filename="semi;colon=1.txt"', "semi;colon=1.txt"),
        ('filename="日本.txt"', "日本.txt"),
        ("filename=bare.txt", "bare.txt"),
        ("", ""),
    ],
)
def test_the_name_of_the_file_is_the_last_of_its_path(sent: str, name: str) -> None:
    parser, _ = parse(form(part("key", b"k"), part("FILE", b"", more=f"; {sent}")))
    assert parser.file_name == name


@pytest.mark.parametrize("step", [0, 1000])
def test_what_is_not_the_file_is_limited(step: int) -> None:
    room = FIELDS_LIMIT_BYTES - len(form(part("key", b""), part("file", b"")))
    parse(form(part("key", b"k" * room), part("file", b"x" * 100_000)), step)
    with pytest.raises(S3Error, match="MaxPostPreDataLengthExceeded"):
        parse(form(part("key", b"k" * (room + 1)), part("file", b"x" * 100_000)), step)
    with pytest.raises(S3Error, match="MaxPostPreDataLengthExceeded"):
        FormData(BOUNDARY).feed(b"x" * (FIELDS_LIMIT_BYTES + 1))


@pytest.mark.parametrize(
    ("header", "boundary"),
    [
        ("multipart/form-data; boundary=abc", b"abc"),
        ('Multipart/Form-Data;charset=utf-8; Boundary="a b:c"', b"a b:c"),
        ("multipart/form-data; boundary=----WebKitFormBoundary7MA4; x=y", b"----WebKitFormBoundary7MA4"),
    ],
)
def test_the_boundary_is_in_the_header(header: str, boundary: bytes) -> None:
    assert boundary_of(header) == boundary


@pytest.mark.parametrize("header", [None, "", "text/plain", "application/x-www-form-urlencoded", "multipart/mixed"])
def test_a_post_that_is_no_form_is_told_so(header: str | None) -> None:
    with pytest.raises(S3Error) as refused:
        boundary_of(header)
    assert refused.value.code == "PreconditionFailed" and "enclosure-type" in refused.value.extra["Condition"]


@pytest.mark.parametrize("boundary", ["", "; boundary=", f"; boundary={'x' * 71}", '; boundary="ends in space "'])
def test_a_form_without_a_boundary_is_malformed(boundary: str) -> None:
    with pytest.raises(S3Error, match="MalformedPOSTRequest"):
        boundary_of("multipart/form-data" + boundary)


@given(st.lists(st.sampled_from([b"\r\n", b"--", BOUNDARY, b"\r\n--" + BOUNDARY, PART, b'name="file"', b"x", b":"])))
def test_nothing_but_an_s3_error_leaves(pieces: list[bytes]) -> None:
    parser = FormData(BOUNDARY)
    try:
        for piece in pieces:
            parser.feed(piece)
        parser.finish()
    except S3Error as error:
        assert error.code in ("MalformedPOSTRequest", "MaxPostPreDataLengthExceededError")
