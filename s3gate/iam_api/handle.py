"""One request to IAM or STS, from its parameters to its answer. Whoever calls has verified the signature.

    which action -> may the caller -> what changes -> all of it at once, or again from the beginning -> answer

An action that did not ask whether it is allowed is refused: the default is deny.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from s3gate.catalog.connection import Step
from s3gate.catalog.errors import CatalogError
from s3gate.iam.principal import ANONYMOUS, Kind
from s3gate.iam.principal import root as principal_root
from s3gate.iam_api.actions import IAM, STS, UNSIGNED
from s3gate.iam_api.authorise import Circumstances
from s3gate.iam_api.errors import refusal
from s3gate.iam_api.jwks import ProviderKeys
from s3gate.iam_api.parameters import Parameters
from s3gate.iam_api.query import Answer, Query
from s3gate.iam_api.web_identity import assume_role_with_web_identity
from s3gate.identity.identities import Identities
from s3gate.identity.identity import NO_KEY, Identity
from s3gate.operations.exchange import Response
from s3gate.s3 import xml_query
from s3gate.s3.errors import S3Error

VERSIONS: Final = {"iam": "2010-05-08", "sts": "2011-06-15"}
_UNAVAILABLE: Final = "The request has failed due to a temporary failure of the server."
_NOBODY: Final = Identity(ANONYMOUS, NO_KEY, 0)
# What S3 says of a signature, as IAM and STS say it.
_OF_SIGNATURES: Final = {
    "InvalidAccessKeyId": ("InvalidClientTokenId", 403, "The security token included in the request is invalid."),
    "InvalidToken": ("InvalidClientTokenId", 403, "The security token included in the request is invalid."),
    "ExpiredToken": ("ExpiredToken", 403, "The security token included in the request is expired"),
    "SignatureDoesNotMatch": (
        "SignatureDoesNotMatch",
        403,
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access "
        "Key and signing method. Consult the service documentation for details.",
    ),
    "AuthorizationHeaderMalformed": ("IncompleteSignature", 400, ""),
    "AuthorizationQueryParametersError": ("IncompleteSignature", 400, ""),
    "RequestTimeTooSkewed": ("SignatureDoesNotMatch", 403, "Signature expired"),
    "SlowDown": ("Throttling", 400, "Rate exceeded"),
}


def name_of(service: str, action: str) -> str:
    """The action as logs and counters have it: none that does not exist, for a client may send any text."""
    known = action in IAM if service == "iam" else action in STS or action == UNSIGNED
    return f"{service}:{action}" if known else service


class IamService:
    """IAM and STS."""

    def __init__(self, identities: Identities, provider_keys: ProviderKeys) -> None:
        self._identities = identities
        self._provider_keys = provider_keys

    async def handle(
        self,
        identity: Identity | None,
        service: str,
        parameters: Mapping[str, str],
        circumstances: Circumstances,
        request_id: str,
    ) -> tuple[Response, str]:
        """The answer, and of a refusal its code. `identity` is None when nobody signed; service is iam or sts."""
        if identity is not None:
            self._identities.note_used(identity, service, circumstances.now)
        try:
            action, value = await self._perform(identity, service, parameters, circumstances)
        except S3Error as error:
            return failure(error, service, request_id), error.code
        except CatalogError:
            unavailable = refusal("ServiceUnavailable", _UNAVAILABLE)
            return failure(unavailable, service, request_id), unavailable.code
        return Response(200, _headers(request_id), xml_query.result(service, action, value, request_id)), ""

    async def as_root(self, account_id: str, parameters: Mapping[str, str]) -> Answer:
        """What the root of an account is answered. For an operator, who needs no key. Raises S3Error."""
        account = (await self._identities.accounts())[account_id]
        root = Identity(principal_root(account_id, account.canonical_id), NO_KEY, 0)
        return (await self._perform(root, "iam", parameters, Circumstances(self._identities.now())))[1]

    async def _perform(
        self, identity: Identity | None, service: str, parameters: Mapping[str, str], circumstances: Circumstances
    ) -> tuple[str, Answer]:
        action = parameters.get("Action", "")
        if not action:
            raise refusal("MissingAction", "The request must contain the parameter Action.")
        known = IAM if service == "iam" else STS
        web = service == "sts" and action == UNSIGNED
        if (action not in known and not web) or parameters.get("Version") not in (None, VERSIONS[service]):
            version = parameters.get("Version", VERSIONS[service])
            raise refusal("InvalidAction", f"Could not find operation {action} for version {version}")
        now = circumstances.now
        who = _NOBODY if identity is None or web else identity
        query = Query(self._identities, who, service, action, Parameters(parameters), circumstances, now)
        if web:
            return action, await assume_role_with_web_identity(query, self._provider_keys)
        if identity is None:
            raise S3Error("MissingAuthenticationToken", 403, "Request is missing Authentication Token")
        if service == "iam" and identity.expires and identity.principal.kind is not Kind.ROLE_SESSION:
            raise S3Error("InvalidClientTokenId", 403, "The security token included in the request is invalid")
        return action, await self._run(query, known[action])

    async def _run(self, query: Query, perform: Any) -> Answer:
        """Everything is decided on one state of the identities, the caller's own permissions included."""

        async def decide(steps: list[Step]) -> Answer:
            fresh = await self._caller(query.identity)
            turn = replace(query, identity=fresh, steps=[], was_asked=False)
            answer: Answer = await perform(turn)
            if not turn.was_asked:
                raise S3Error("AccessDenied", 403, "Access Denied")
            steps += turn.steps
            return answer

        return await self._identities.tables.change(decide)

    async def _caller(self, identity: Identity) -> Identity:
        """Who asks, as of now: a key that was revoked meanwhile changes nothing any more."""
        credential = identity.credential
        if credential is NO_KEY:
            return identity
        fresh = await self._identities.current(credential.access_key, credential.session_token)
        if fresh is None:
            raise S3Error.of("InvalidAccessKeyId")
        return fresh


def failure(error: S3Error, service: str, request_id: str) -> Response:
    """A refusal in the words of the query protocol; those of signatures come with S3's and get IAM's."""
    code, status, message = _OF_SIGNATURES.get(error.code, (error.code, error.status, error.message))
    if "Region" in error.extra:  # signed for another one
        code, status, message = "SignatureDoesNotMatch", 403, "Credential should be scoped to a valid region. "
    fault = "Sender" if status < 500 else "Receiver"
    document = xml_query.failure(service, fault, code, message or error.message, request_id)
    return Response(status, _headers(request_id), document)


def _headers(request_id: str) -> list[tuple[bytes, bytes]]:
    return [(b"content-type", b"text/xml"), (b"x-amzn-requestid", request_id.encode("ascii"))]
