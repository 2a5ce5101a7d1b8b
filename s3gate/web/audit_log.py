"""The audit trail: who did what to what, when, from where, with which key, and what came of it. A JSON line each.

An entry is made when a request is over, and one more for every key of a DeleteObjects. Secrets have no way in: of the
query only the version id, of the headers the user agent and the source of a copy, of an action of IAM or STS those of
its parameters that name things. A request never waits for its line: what does not fit into the queue, or cannot be
written, is counted, here and among the metrics. Who must not lose a line watches that count.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from s3gate.operations._failures import Denied
from s3gate.s3.credentials import claimed_key
from s3gate.web.line_log import QUEUED_LINES, STDOUT, LineLog, LogFile, StandardOutput
from s3gate.web.visit import NOT_DENIED

if TYPE_CHECKING:
    from s3gate.operations.exchange import Response
    from s3gate.s3.request import Request
    from s3gate.web.visit import Visit

PRIVATE_MODE = 0o600
MOST_TEXT = 256
"""Of what the client chose freely and S3 does not bound: a longer one is cut."""
NOBODY = "anonymous"
NO_KEY = "?"
_VERSION_ID = b"x-amz-version-id"
_LIKE_A_KEY = re.compile(r"[A-Za-z0-9_.-]{1,128}").fullmatch
"""Who puts something else where the key belongs may have put a secret there."""
# Parameters of IAM and STS that say whom or what an action is about. Never: secrets, tokens, codes, documents.
_TOLD_TEXT = """
    AccessKeyId AccountAlias GroupName NewGroupName NewPath NewUserName OpenIDConnectProviderArn Path
    PermissionsBoundary PolicyArn PolicyName RoleArn RoleName RoleSessionName SetAsDefault Status UserName VersionId
"""
_TOLD = frozenset(_TOLD_TEXT.split())


class AuditEntry(NamedTuple):
    """One line. `principal` is empty where the signature did not hold: then the access key is only a claim."""

    at: datetime
    request_id: str
    remote: str
    tls: bool
    access_key: str
    principal: str
    account: str
    operation: str
    method: str
    bucket: str
    key: bytes
    version_id: str
    source: str
    parameters: Mapping[str, str]
    status: int
    error: str
    denial: tuple[str, str, str]
    """Of a request that was denied: how, by which kind of policy, and the Sid of its statement."""
    user_agent: str


class AuditLog(LineLog[AuditEntry]):
    """Every request. The target is `-` for standard output, or a path: that file is then for its owner only."""

    def __init__(self, target: str, most_bytes: int, kept: int, queued_lines: int = QUEUED_LINES) -> None:
        sink = StandardOutput() if target == STDOUT else LogFile(Path(target), most_bytes, kept, PRIVATE_MODE)
        super().__init__(sink, _line, queued_lines)

    def note(self, visit: Visit, scope: Any) -> None:
        """A request is over."""
        entry = _entry(visit, scope)
        self.add(entry)
        for key, version_id, error in () if visit.call is None else visit.call.removed:
            one = entry._replace(operation="DeleteObject", key=key, version_id=version_id)
            if error is not None:
                denial = error.why if isinstance(error, Denied) else NOT_DENIED
                one = one._replace(status=error.status, error=error.code, denial=denial)
            self.add(one)


def _told(parameters: Mapping[str, str]) -> dict[str, str]:
    """What may be told of the parameters of an action of IAM or STS."""
    return {name: value[:MOST_TEXT] for name, value in parameters.items() if name in _TOLD}


def _entry(visit: Visit, scope: Any) -> AuditEntry:
    client, request, call = scope["client"], visit.request, visit.call
    identity = visit.identity if call is None else call.identity
    access_key = visit.access_key or _claimed(request)
    principal, account = ("" if access_key else NOBODY), ""
    if identity is not None:
        principal, account = identity.principal.arn, identity.principal.account_id
    return AuditEntry(
        visit.now,
        visit.request_id,
        client[0] if client else "",
        scope["scheme"] == "https",
        access_key,
        principal,
        account,
        visit.operation,
        scope["method"],
        "" if request is None else request.bucket,
        b"" if request is None else request.key,
        _version_id(request, visit.response),
        _header(request, "x-amz-copy-source"),
        _told(visit.parameters),
        visit.status,
        visit.error,
        visit.denial,
        _header(request, "user-agent"),
    )


def _claimed(request: Request | None) -> str:
    """Who they said they were, of those who could not prove it."""
    claimed = "" if request is None else claimed_key(request)[0]
    return claimed if not claimed or _LIKE_A_KEY(claimed) else NO_KEY


def _header(request: Request | None, name: str) -> str:
    return "" if request is None else (request.headers.get(name) or "")[:MOST_TEXT]


def _version_id(request: Request | None, response: Response | None) -> str:
    """The one that was asked for, else the one that was made or found."""
    asked = None if request is None else request.query.get("versionId")
    if asked is not None or response is None:
        return (asked or "")[:MOST_TEXT]
    return next((value.decode("latin-1") for name, value in response.headers if name == _VERSION_ID), "")


def _line(entry: AuditEntry) -> str:
    verdict, by, sid = entry.denial
    said = {
        "time": entry.at.isoformat(timespec="milliseconds"),
        "request_id": entry.request_id,
        "remote": entry.remote,
        "tls": entry.tls,
        "access_key": entry.access_key,
        "principal": entry.principal,
        "account": entry.account,
        "operation": entry.operation,
        "method": entry.method,
        "bucket": entry.bucket,
        "key": entry.key.decode("utf-8", "replace"),
        "version_id": entry.version_id,
        "copy_source": entry.source,
        "parameters": entry.parameters,
        "status": entry.status,
        "error": entry.error,
        "denied": verdict,
        "denied_by": by,
        "sid": sid,
        "user_agent": entry.user_agent,
    }
    return json.dumps({name: value for name, value in said.items() if value not in ("", {})}, separators=(",", ":"))
