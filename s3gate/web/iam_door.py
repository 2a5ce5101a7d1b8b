"""IAM and STS on the same port: which requests are theirs, who signed them, and the way to `iam_api`.

They are posts of a form to the root, where S3 has no operation. Their clients sign the hash of the body without sending
it along, so the body is read before anybody knows who sent it: it is small, and bounded.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from s3gate.iam_api.authorise import Circumstances
from s3gate.iam_api.handle import failure, name_of
from s3gate.iam_api.parameters import MOST_FORM_BYTES, parse_form
from s3gate.operations.body import Body, Receive
from s3gate.s3 import sigv4
from s3gate.s3.credentials import CLASSIC_REGION, Authentication, claimed_key, claimed_service
from s3gate.s3.errors import S3Error

if TYPE_CHECKING:
    from s3gate.iam_api.handle import IamService
    from s3gate.identity.identities import Identities
    from s3gate.identity.identity import Identity
    from s3gate.operations.exchange import Response
    from s3gate.s3.request import Request
    from s3gate.web.brakes import Brakes

STS = "sts"
SERVICES = ("iam", STS)
_GLOBAL = frozenset((CLASSIC_REGION,))
"""IAM and STS are global: clients sign for the classic region whatever theirs is."""
_FORM = "application/x-www-form-urlencoded"


def is_query(request: Request) -> bool:
    """Whether a request is in the protocol of IAM and STS."""
    if request.bucket:
        return False
    if request.method == "POST":
        return (request.headers.get("content-type") or "").lower().startswith(_FORM)
    return request.method == "GET" and request.query.raw != b"" and "Action" in request.query


class IamDoor:
    """Authenticates and hands over; refusals are answered in the words of the service."""

    def __init__(self, identities: Identities, service: IamService, brakes: Brakes) -> None:
        self._identities = identities
        self._service = service
        self._brakes = brakes

    async def answer(self, request: Request, receive: Receive, now: datetime, request_id: str) -> IamAnswer:
        """What is answered, by whom it was asked, and the name of the action as the logs have it."""
        service, name, identity, parameters = STS, "", None, dict[str, str]()
        try:
            data = await self._body(request, receive)
            service = _service_of(request)
            parameters = parse_form(data if request.method == "POST" else request.query.raw)
            name = name_of(service, parameters.get("Action", ""))
            identity = await self._who(request, service, data, now)
        except S3Error as refusal:
            error = await self._brakes.held(refusal, request)
            return IamAnswer(failure(error, service, request_id), name, parameters, None, error.code)
        circumstances = Circumstances(
            now,
            request.remote,
            request.scheme == "https",
            request.headers.get("user-agent") or "",
            self._identities.region,
        )
        response, code = await self._service.handle(identity, service, parameters, circumstances, request_id)
        return IamAnswer(response, name, parameters, identity, code)

    async def _body(self, request: Request, receive: Receive) -> bytes:
        body = Body(receive, request.headers, Authentication.ANONYMOUS)
        body.want_md5 = False
        body.checksum_is_of_body = False
        return await body.read(MOST_FORM_BYTES)

    async def _who(self, request: Request, service: str, data: bytes, now: datetime) -> Identity | None:
        """Whose signature the request has; None when nobody signed. The body's hash is computed, not believed."""
        access_key, token = claimed_key(request)
        if not access_key:
            return None
        identity = await self._identities.current(access_key, token)
        credential = None if identity is None else identity.credential
        digest = sha256(data).hexdigest()
        claim = request.headers.get("x-amz-content-sha256") or request.query.get("X-Amz-Content-Sha256")
        if claim is not None and claim.lower() != digest:
            raise S3Error.of("SignatureDoesNotMatch")
        in_header = request.headers.get("authorization") is not None
        verify = sigv4.authenticate_header if in_header else sigv4.authenticate_query
        region = self._identities.region
        verify(request, now, lambda key: credential if key == access_key else None, region, service, _GLOBAL, digest)
        return identity


def _service_of(request: Request) -> str:
    """As the signature's scope says. One of another service, or of none, is refused by STS, which may be asked so."""
    service = claimed_service(request)
    return service if service in SERVICES else STS


class IamAnswer(NamedTuple):
    """The response, and what the logs say of it."""

    response: Response
    name: str
    parameters: Mapping[str, str]
    identity: Identity | None
    error: str
