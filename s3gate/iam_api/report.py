"""The credential report: the root and every user with their keys, as a table. There is nothing to wait for: it is made
when it is asked for."""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import Iterable
from datetime import datetime
from typing import Final

from s3gate.catalog.identity_rows import USER, KeyRow
from s3gate.iam.principal import root_arn
from s3gate.iam_api import entities
from s3gate.iam_api.keys import keys_of
from s3gate.iam_api.query import Answer, Query
from s3gate.iam_api.quotas import KEYS_PER_USER
from s3gate.identity.naming import arn_of

_ROOT: Final = "<root_account>"
_PASSWORD: Final = ("password_enabled", "password_last_used", "password_last_changed", "password_next_rotation")
_OF_KEYS: Final = ("active", "last_rotated", "last_used_date", "last_used_region", "last_used_service")
_COLUMNS: Final = (
    *("user", "arn", "user_creation_time", *_PASSWORD, "mfa_active"),
    *(f"access_key_{number}_{name}" for number in (1, 2) for name in _OF_KEYS),
    *(f"cert_{number}_{name}" for number in (1, 2) for name in ("active", "last_rotated")),
)
_NONE: Final = "N/A"


async def generate_credential_report(query: Query) -> Answer:
    query.allow("*")
    return {"State": "COMPLETE"}


async def get_credential_report(query: Query) -> Answer:
    query.allow("*")
    await query.identities.flush()
    account, text = await query.account(), io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(_COLUMNS)
    table.writerow(_line(_ROOT, root_arn(query.account_id), account.created_at, await keys_of(query, "")))
    for row in await entities.every(query, USER):
        table.writerow(_line(row.name, arn_of(row), row.created_at, await keys_of(query, row.folded)))
    content = base64.b64encode(text.getvalue().encode()).decode()
    return {"Content": content, "ReportFormat": "text/csv", "GeneratedTime": query.now}


def _line(name: str, arn: str, created_at: datetime, keys: Iterable[KeyRow]) -> list[str]:
    """Nobody here has a password, a second factor or a certificate."""
    cells = [name, arn, _moment(created_at), "false", _NONE, _NONE, _NONE, "false"]
    oldest_first = sorted(keys, key=lambda key: (key.created_at, key.access_key))[:KEYS_PER_USER]
    for key in oldest_first:
        used = (_moment(key.last_used_at), key.last_used_region or _NONE, key.last_used_service or _NONE)
        cells += ["true" if key.active else "false", _moment(key.created_at), *used]
    for _ in range(KEYS_PER_USER - len(oldest_first)):
        cells += ["false", _NONE, _NONE, _NONE, _NONE]
    return [*cells, "false", _NONE, "false", _NONE]


def _moment(moment: datetime | None) -> str:
    return _NONE if moment is None else f"{moment:%Y-%m-%dT%H:%M:%S}+00:00"
