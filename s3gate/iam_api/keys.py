"""Access keys of users, and of the account's root."""

from __future__ import annotations

from s3gate.catalog import identity_changes as changes
from s3gate.catalog.identity_rows import USER, KeyRow
from s3gate.iam.principal import root_arn
from s3gate.iam_api.errors import limit, no_such, refusal
from s3gate.iam_api.query import Answer, Query
from s3gate.iam_api.quotas import KEYS_PER_USER
from s3gate.iam_api.users import asked_user
from s3gate.identity.naming import arn_of, new_access_key, new_secret

ACTIVE, INACTIVE = "Active", "Inactive"
NEVER = "N/A"


async def _owner(query: Query) -> tuple[str, str]:
    """Whose keys are meant, as rows name them and as answers do: a user's, or without a name the caller's own."""
    principal = query.identity.principal
    if query.parameters.find("UserName") is None and principal.is_root:
        query.allow(principal.arn)
        return "", ""
    row = await asked_user(query)
    return row.folded, row.name


async def _key(query: Query) -> tuple[KeyRow, str]:
    """The key that the request names, one of its user's."""
    owner, _ = await _owner(query)
    access_key = query.parameters.text("AccessKeyId", 128, 3)
    if access_key in [own.access_key for own in await _of_installation(query, owner)]:
        raise refusal("AccessDenied", "The installation's own key is changed where the installation is configured.")
    row = await query.tables.find_key(access_key)
    if row is None or (row.account_id, row.owner) != (query.account_id, owner):
        raise no_such(f"The Access Key with id {access_key}")
    return row, owner


async def _of_installation(query: Query, owner: str) -> list[KeyRow]:
    """The root's key that the installation was started with, of which no row is kept."""
    account = await query.account()
    access_key = query.identities.root_access_key
    if owner or not account.is_main or not access_key:
        return []
    return [KeyRow(access_key, account.account_id, owner, b"", True, account.created_at)]


async def keys_of(query: Query, owner: str) -> list[KeyRow]:
    """All keys of a user, or of the root."""
    every = [*await _of_installation(query, owner), *await query.tables.keys(query.account_id, owner)]
    return sorted(every, key=lambda row: row.access_key)


async def create_access_key(query: Query) -> Answer:
    """The only answer that ever has the secret."""
    owner, name = await _owner(query)
    if len(await query.tables.keys(query.account_id, owner)) >= KEYS_PER_USER:
        raise limit("AccessKeysPerUser", KEYS_PER_USER)
    access_key, secret = new_access_key(), new_secret()
    sealed = query.identities.sealed(secret, access_key)
    query.steps += changes.put_key(KeyRow(access_key, query.account_id, owner, sealed, True, query.now))
    made = {
        "UserName": name,
        "AccessKeyId": access_key,
        "Status": ACTIVE,
        "SecretAccessKey": secret,
        "CreateDate": query.now,
    }
    return {"AccessKey": made}


async def update_access_key(query: Query) -> Answer:
    status = query.parameters.choice("Status", (ACTIVE, INACTIVE))
    row, _ = await _key(query)
    query.steps += changes.put_key(row._replace(active=status == ACTIVE))
    return None


async def delete_access_key(query: Query) -> Answer:
    row, _ = await _key(query)
    query.steps += changes.drop_key(row.access_key)
    return None


async def list_access_keys(query: Query) -> Answer:
    owner, name = await _owner(query)
    rows, rest = query.page(await keys_of(query, owner), lambda row: row.access_key)
    shown = [
        {
            "UserName": name,
            "AccessKeyId": row.access_key,
            "Status": ACTIVE if row.active else INACTIVE,
            "CreateDate": row.created_at,
        }
        for row in rows
    ]
    return {"AccessKeyMetadata": shown, **rest}


async def get_access_key_last_used(query: Query) -> Answer:
    access_key = query.parameters.text("AccessKeyId", 128, 3)
    await query.identities.flush()
    row = await query.tables.find_key(access_key)
    mine = row is not None and row.account_id == query.account_id
    user = await query.tables.find(query.account_id, USER, row.owner) if row is not None and mine else None
    query.allow(root_arn(query.account_id) if user is None else arn_of(user), user)
    if row is None or not mine:
        raise refusal("AccessDenied", f"The access key {access_key} is not one of this account.")
    return {
        "UserName": "" if user is None else user.name,
        "AccessKeyLastUsed": {
            "LastUsedDate": row.last_used_at,
            "ServiceName": row.last_used_service or NEVER,
            "Region": row.last_used_region or NEVER,
        },
    }
