"""What an account may have at AWS and has none of here: passwords, MFA devices, certificates, machines.

Nothing makes any, so that there is nothing to list. Tools that look into an account or delete a user or role ask first.
"""

from __future__ import annotations

from collections.abc import Mapping

from s3gate.catalog.identity_rows import USER
from s3gate.iam_api.errors import no_such
from s3gate.iam_api.query import Answer, Query
from s3gate.iam_api.users import asked_user


async def none_of_user(element: str, query: Query) -> Answer:
    """An empty list of what the user that is named, or the one who asks, could have."""
    await asked_user(query)
    query.paging()
    return {element: [], "IsTruncated": False}


async def none_of_account(element: str, kind: str, query: Query) -> Answer:
    """An empty list of what the account could have."""
    query.allow(query.arn(kind, "*", query.parameters.path("PathPrefix")))
    query.paging()
    return {element: [], "IsTruncated": False}


async def none_at_all(element: str, kind: str, more: Mapping[str, bool], query: Query) -> Answer:
    """The same of what has no paths."""
    query.allow(query.arn(kind, "*"))
    return {element: [], **more}


async def no_login_profile(query: Query) -> Answer:
    """Users have keys and no passwords."""
    raise no_such(f"Login Profile for {USER.title()} {(await asked_user(query)).name}")


async def no_password_policy(query: Query) -> Answer:
    query.allow("*")
    raise no_such(f"The Password Policy with domain name {query.account_id}")
