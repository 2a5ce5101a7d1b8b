"""A POST form as S3 reads it: which key, which headers, whose signature, and what to answer.

It turns the fields into what a PutObject would have said in its headers, so that both are stored in one way. The
parsing of the body is in form_data.py, the policy in post_policy.py.
"""

from __future__ import annotations

import hmac
from base64 import b64encode
from collections.abc import Iterable, Mapping
from urllib.parse import quote, urlsplit, urlunsplit

from s3gate.s3.canonical import signing_key_of
from s3gate.s3.credentials import Authentication, Credential, PayloadMode, SecretOf, check_token, known_credential
from s3gate.s3.errors import S3Error, invalid_argument
from s3gate.s3.headers import Pairs
from s3gate.s3.sigv2 import check_enabled
from s3gate.s3.sigv4 import ALGORITHM, check_scope, instant, split_credential

FILE_NAME_VARIABLE = "${filename}"

_V4 = frozenset(("x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-signature"))
_V2 = frozenset(("awsaccesskeyid", "signature"))
_NOT_HEADERS = _V4 | {"x-amz-security-token"}
_HEADERS = frozenset(
    (
        "cache-control",
        "content-disposition",
        "content-encoding",
        "content-language",
        "content-md5",
        "content-type",
        "expires",
    )
)
_STATUSES = ("200", "201", "204")
DEFAULT_STATUS = 204


def read_fields(sent: Iterable[tuple[str, str]], file_name: str) -> dict[str, str]:
    """The fields by name in lower case, each once, with the name of the file put in where they ask for it."""
    fields: dict[str, str] = {}
    for name, value in sent:
        lowered = name.lower()
        if lowered in fields:
            raise invalid_argument(name, value, "POST requests must contain each field only once.")
        fields[lowered] = value.replace(FILE_NAME_VARIABLE, file_name)
    return fields


def key_of(fields: Mapping[str, str]) -> bytes:
    """The key, or InvalidArgument."""
    key = fields.get("key")
    if key is None:
        raise _missing("key")
    if not key:
        raise invalid_argument("key", "", "User key must have a length greater than 0.")
    return key.encode()


def headers_of(fields: Mapping[str, str]) -> Pairs:
    """What PutObject would be told by its headers. The field `tagging` is a document and not among them."""
    found = [
        (name.encode(), value.encode())
        for name, value in fields.items()
        if name in _HEADERS or (name.startswith("x-amz-") and name not in _NOT_HEADERS)
    ]
    if "acl" in fields:
        found.append((b"x-amz-acl", fields["acl"].encode()))
    return found


def claimed_key(fields: Mapping[str, str]) -> tuple[str, str]:
    """The access key that a form says it was signed with, and its session token: neither is verified yet."""
    access_key = fields.get("x-amz-credential", "").rsplit("/", 4)[0] or fields.get("awsaccesskeyid", "")
    return access_key, fields.get("x-amz-security-token", "")


def authenticate(
    fields: Mapping[str, str],
    secret_of: SecretOf,
    region: str,
    *,
    region_aliases: frozenset[str] = frozenset(),
    sigv2_enabled: bool = True,
) -> Authentication:
    """Who signed the policy; nobody is an answer. Raises S3Error. The policy itself says until when it holds."""
    if not _V4.isdisjoint(fields):
        return _authenticate_v4(fields, secret_of, region, region_aliases)
    if not _V2.isdisjoint(fields):
        check_enabled(sigv2_enabled)
        return _authenticate_v2(fields, secret_of)
    if "policy" in fields:
        raise _missing("AWSAccessKeyId")
    return Authentication.ANONYMOUS


def _authenticate_v4(
    fields: Mapping[str, str], secret_of: SecretOf, region: str, region_aliases: frozenset[str]
) -> Authentication:
    algorithm, credential_text, timestamp, signature, policy = (
        _needed(fields, name)
        for name in ("X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Signature", "Policy")
    )
    if algorithm != ALGORITHM:
        raise invalid_argument("X-Amz-Algorithm", algorithm, f'X-Amz-Algorithm only supports "{ALGORITHM}"')
    if instant(timestamp) is None:
        message = "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\""
        raise invalid_argument("X-Amz-Date", timestamp, message)

    def refuse(detail: str) -> S3Error:
        return invalid_argument("X-Amz-Credential", credential_text, detail)

    access_key, scope = split_credential(credential_text, refuse)
    check_scope(scope, timestamp, region, "s3", region_aliases, refuse)
    credential = known_credential(secret_of, access_key)
    check_token(credential, fields.get("x-amz-security-token"))
    key = signing_key_of(credential.secret_key, *scope[:3])
    _compare(credential, policy, signature, hmac.digest(key, policy.encode(), "sha256").hex())
    return Authentication(access_key, PayloadMode.UNSIGNED, scope="/".join(scope), timestamp=timestamp)


def _authenticate_v2(fields: Mapping[str, str], secret_of: SecretOf) -> Authentication:
    access_key, signature, policy = (_needed(fields, name) for name in ("AWSAccessKeyId", "Signature", "Policy"))
    credential = known_credential(secret_of, access_key)
    check_token(credential, fields.get("x-amz-security-token"))
    digest = hmac.digest(credential.secret_key.encode(), policy.encode(), "sha1")
    _compare(credential, policy, signature, b64encode(digest).decode())
    return Authentication(access_key, PayloadMode.UNSIGNED)


def _compare(credential: Credential, policy: str, given: str, expected: str) -> None:
    if not hmac.compare_digest(expected.encode(), given.encode()):
        raise S3Error.of(
            "SignatureDoesNotMatch",
            AWSAccessKeyId=credential.access_key,
            StringToSign=policy,
            SignatureProvided=given,
            StringToSignBytes=policy.encode().hex(" "),
        )


def success_status(fields: Mapping[str, str]) -> int:
    """200, 201 or 204; whatever else a form says means 204."""
    text = fields.get("success_action_status")
    return int(text) if text in _STATUSES else DEFAULT_STATUS


def redirect_of(fields: Mapping[str, str], bucket: str, key: bytes, etag: str) -> bytes | None:
    """Where the browser is sent, with bucket, key and ETag; None when no field says so, or says what is no URL."""
    url = fields.get("success_action_redirect") or fields.get("redirect") or ""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.netloc or not (url.isascii() and url.isprintable()):
        return None
    query = f"bucket={quote(bucket, safe='')}&key={quote(key, safe='')}&etag={quote(f'{chr(34)}{etag}{chr(34)}')}"
    return urlunsplit(parts._replace(query=f"{parts.query}&{query}" if parts.query else query)).encode()


def no_file() -> S3Error:
    """The form ended, and no field of it was the file."""
    return invalid_argument("file", "0", "POST requires exactly one file upload per request.")


def _needed(fields: Mapping[str, str], name: str) -> str:
    value = fields.get(name.lower())
    if value is None:
        raise _missing(name)
    return value


def _missing(name: str) -> S3Error:
    message = (
        f"Bucket POST must contain a field named '{name}'.  If it is specified, please check the order of the fields."
    )
    return invalid_argument(name, "", message)
