"""JSON Web Tokens as OIDC providers sign them: read, and verified against one of the provider's keys. Pure."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512, HashAlgorithm

from s3gate.iam_api.errors import refusal
from s3gate.s3.errors import S3Error

MOST_CHARACTERS: Final = 20_000
_RSA: Final[Mapping[str, HashAlgorithm]] = {"RS256": SHA256(), "RS384": SHA384(), "RS512": SHA512()}
_EC: Final[Mapping[str, tuple[str, ec.EllipticCurve, HashAlgorithm]]] = {
    "ES256": ("P-256", ec.SECP256R1(), SHA256()),
    "ES384": ("P-384", ec.SECP384R1(), SHA384()),
}
_LEAST_RSA_BITS: Final = 2048


class Token(NamedTuple):
    """A token that was read and not yet believed."""

    algorithm: str
    key_id: str
    claims: Mapping[str, Any]
    signed: bytes
    signature: bytes

    def text(self, claim: str) -> str:
        """A claim that is text; empty when it is not there."""
        value = self.claims.get(claim, "")
        return value if isinstance(value, str) else ""

    def texts(self, claim: str) -> tuple[str, ...]:
        """A claim that is text or a list of texts."""
        value = self.claims.get(claim, [])
        found = value if isinstance(value, list) else [value]
        return tuple(one for one in found if isinstance(one, str))

    def audiences(self) -> tuple[str, ...]:
        """For whom it was made."""
        return self.texts("aud")

    def moment(self, claim: str) -> float | None:
        """A claim that is a time."""
        value = self.claims.get(claim)
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def not_a_token(why: str) -> S3Error:
    return refusal("InvalidIdentityToken", why)


def read(text: str) -> Token:
    """The parts of a token. Raises InvalidIdentityToken."""
    if not 4 <= len(text) <= MOST_CHARACTERS or text.count(".") != 2:
        raise not_a_token("The ID Token provided is not a valid JWT.")
    head, body, signature = text.split(".")
    try:
        header, claims = json.loads(_decode(head)), json.loads(_decode(body))
        algorithm, key_id = header["alg"], header.get("kid", "")
        if not isinstance(claims, dict) or not isinstance(key_id, str) or "crit" in header:
            raise ValueError
        return Token(algorithm, key_id, claims, f"{head}.{body}".encode("ascii"), _decode(signature))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise not_a_token("The ID Token provided is not a valid JWT.") from None


def verify(token: Token, keys: Iterable[Mapping[str, Any]]) -> None:
    """Raises InvalidIdentityToken, unless one of the keys made the signature. `none` and HMAC are not known here."""
    if token.algorithm not in _RSA and token.algorithm not in _EC:
        raise not_a_token("The ID Token is signed with an algorithm that is not supported.")
    for key in keys:
        if key.get("use", "sig") != "sig" or key.get("alg", token.algorithm) != token.algorithm:
            continue
        try:
            _verify_rsa(token, key) if token.algorithm in _RSA else _verify_ec(token, key)
            return
        except (InvalidSignature, UnsupportedAlgorithm, ValueError, KeyError, TypeError, AttributeError):
            continue
    raise not_a_token("Couldn't retrieve verification key from your identity provider, or its signature is wrong.")


def _verify_rsa(token: Token, key: Mapping[str, Any]) -> None:
    if key["kty"] != "RSA":
        raise ValueError
    public = rsa.RSAPublicNumbers(_number(key["e"]), _number(key["n"])).public_key()
    if public.key_size < _LEAST_RSA_BITS:
        raise ValueError
    public.verify(token.signature, token.signed, padding.PKCS1v15(), _RSA[token.algorithm])


def _verify_ec(token: Token, key: Mapping[str, Any]) -> None:
    name, curve, digest = _EC[token.algorithm]
    if key["kty"] != "EC" or key["crv"] != name:
        raise ValueError
    public = ec.EllipticCurvePublicNumbers(_number(key["x"]), _number(key["y"]), curve).public_key()
    half = (curve.key_size + 7) // 8
    if len(token.signature) != 2 * half:
        raise ValueError
    r, s = (int.from_bytes(part) for part in (token.signature[:half], token.signature[half:]))
    public.verify(encode_dss_signature(r, s), token.signed, ec.ECDSA(digest))


def _number(text: str) -> int:
    return int.from_bytes(_decode(text))


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError from error
