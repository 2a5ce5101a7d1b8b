"""What is known of one request while it is under way: what the logs and the counters are told when it is over.

The door fills it in; it decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from s3gate.s3.credentials import Authentication
from s3gate.web.refusal import new_request_id

if TYPE_CHECKING:
    from s3gate.identity.identity import Identity
    from s3gate.operations.body import Body
    from s3gate.operations.exchange import Call, RawHeaders, Response
    from s3gate.s3.request import Request

NO_OPERATION = "none"
NOT_DENIED = ("", "", "")


class Visit:
    """One request."""

    __slots__ = (
        "auth",
        "body",
        "bytes_out",
        "call",
        "denial",
        "error",
        "for_page",
        "identity",
        "now",
        "operation",
        "parameters",
        "request",
        "request_id",
        "response",
        "status",
    )

    def __init__(self, now: datetime) -> None:
        self.request_id = new_request_id()
        self.now = now
        self.request: Request | None = None
        self.auth = Authentication.ANONYMOUS
        self.identity: Identity | None = None
        self.body: Body | None = None
        self.call: Call | None = None
        self.for_page: RawHeaders = []
        self.operation = NO_OPERATION
        self.parameters: Mapping[str, str] = {}
        self.response: Response | None = None
        self.denial = NOT_DENIED
        self.error = ""
        self.status = 500
        self.bytes_out = 0

    @property
    def access_key(self) -> str:
        """Who signed: of a form that is known only once its fields are."""
        auth = self.auth if self.call is None else self.call.auth
        if auth.is_anonymous and self.identity is not None:  # of IAM and STS, whose door has no operation
            return self.identity.credential.access_key
        return auth.access_key
