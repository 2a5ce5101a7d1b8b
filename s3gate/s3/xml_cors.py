"""CORSConfiguration: from a client's document to the bytes that GetBucketCors answers, and to rules.

It judges a configuration; what the rules then do is in cors.py.
"""

from __future__ import annotations

import re
from functools import lru_cache

from s3gate.s3.cors import METHODS, CorsRule
from s3gate.s3.errors import S3Error
from s3gate.s3.xml_shape import MANY, Node, Shape, group, read, text, write

LIMIT_BYTES = 64 * 1024
LIMIT_RULES = 100
LIMIT_ID_CHARACTERS = 255
RULES_CACHED = 256

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+").fullmatch
_TRIMMED = r"\S(.*\S)?"


def _texts(name: str, least: int = 0) -> Shape:
    return text(name, least=least, most=MANY, pattern=_TRIMMED)


_SHAPE = group(
    "CORSConfiguration",
    group(
        "CORSRule",
        text("ID", least=0),
        _texts("AllowedMethod", least=1),
        _texts("AllowedOrigin", least=1),
        _texts("AllowedHeader"),
        text("MaxAgeSeconds", least=0, pattern=r"[0-9]{1,9}"),
        _texts("ExposeHeader"),
        most=MANY,
    ),
)


def canonical(data: bytes) -> bytes:
    """The document to keep and to answer. Raises MalformedXML or InvalidRequest."""
    tree = read(data, _SHAPE)
    found = tree.all("CORSRule")
    if len(found) > LIMIT_RULES:
        raise _invalid(f"The number of CORS rules should not exceed allowed limit of {LIMIT_RULES} rules.")
    for rule in found:
        _check(rule)
    return write(tree, _SHAPE)


@lru_cache(maxsize=RULES_CACHED)
def rules(document: bytes) -> tuple[CorsRule, ...]:
    """The rules of a document that `canonical` made."""
    return tuple(
        CorsRule(
            _all(rule, "AllowedMethod"),
            _all(rule, "AllowedOrigin"),
            tuple(name.lower() for name in _all(rule, "AllowedHeader")),
            _all(rule, "ExposeHeader"),
            rule.number("MaxAgeSeconds"),
        )
        for rule in read(document, _SHAPE).all("CORSRule")
    )


def _check(rule: Node) -> None:
    for method in _all(rule, "AllowedMethod"):
        if method not in METHODS:
            raise _invalid(f"Found unsupported HTTP method in CORS config. Unsupported method is {method}")
    for name in ("AllowedOrigin", "AllowedHeader"):
        for value in _all(rule, name):
            if value.count("*") > 1:
                raise _invalid(f'{name} "{value}" can not have more than one wildcard.')
    for value in _all(rule, "ExposeHeader"):
        if "*" in value:
            raise _invalid(
                f'ExposeHeader "{value}" contains wildcard. We currently do not support wildcard for ExposeHeader.'
            )
    for name in ("AllowedHeader", "ExposeHeader"):
        for value in _all(rule, name):
            if _HEADER_NAME(value) is None:  # it is written into responses
                raise _invalid(f'{name} "{value}" is not the name of a header.')
    if len(rule.value("ID") or "") > LIMIT_ID_CHARACTERS:
        raise _invalid(f"The ID of a CORS rule should not exceed allowed limit of {LIMIT_ID_CHARACTERS} characters.")


def _all(rule: Node, name: str) -> tuple[str, ...]:
    return tuple(node.text for node in rule.all(name))


def _invalid(message: str) -> S3Error:
    return S3Error.of("InvalidRequest", message)
