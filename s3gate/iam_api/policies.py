"""Managed policies and their versions."""

from __future__ import annotations

from s3gate.catalog import identity_changes as changes
from s3gate.catalog.identity_rows import ATTACHED, BOUNDARY, POLICY, IdentityRow, PolicyRow, fold
from s3gate.iam.policy import parse
from s3gate.iam_api import entities, managed
from s3gate.iam_api.errors import exists, refusal
from s3gate.iam_api.query import Answer, Query, truncation
from s3gate.iam_api.quotas import POLICY_CHARACTERS, VERSIONS_PER_POLICY, check_quota
from s3gate.identity.documents import said, tags_of, written
from s3gate.identity.naming import new_identity_id

_LAST = "~"
"""Before the names of AWS's policies, in markers: a letter that no name begins with."""


def _document(query: Query) -> bytes:
    document = query.parameters.document("PolicyDocument")
    parse(document, "identity", limit=POLICY_CHARACTERS)
    return document.encode()


async def create_policy(query: Query) -> Answer:
    name, path = query.parameters.name("PolicyName", 128), query.parameters.path()
    description = query.parameters.text("Description", 1000, default="")
    tags, document = query.parameters.tags(), _document(query)
    query.allow(query.arn(POLICY, name, path))
    if await query.tables.find(query.account_id, POLICY, fold(name)) is not None:
        raise exists(f"A policy called {name} already exists. Duplicate names are not allowed.")
    await check_quota(query, POLICY)
    words = written(description=description, tags=tags, last_version=1)
    row = IdentityRow(query.account_id, POLICY, name, new_identity_id(POLICY), path, words, query.now)
    query.steps += changes.put_identity(row)
    version = PolicyRow(row.account_id, POLICY, row.folded, managed.FIRST_VERSION, document, True, query.now)
    query.steps += changes.put_policy(version)
    current = managed.Version(version.name, document, True, query.now)
    shown_tags = entities.shown_tags(tags) if tags else None
    return {"Policy": managed.shown(managed.of_row(row), current, {}, Tags=shown_tags)}


async def get_policy(query: Query) -> Answer:
    policy = await managed.asked(query)
    counts = await query.tables.link_counts(query.account_id)
    tags = entities.shown_tags({} if policy.row is None else tags_of(policy.row))
    current = await managed.default(query, policy)
    more = {"Description": policy.description or None, "Tags": tags}
    return {"Policy": managed.shown(policy, current, counts, **more)}


async def list_policies(query: Query) -> Answer:
    """The account's own, AWS's, or both: AWS's come last."""
    scope = query.parameters.choice("Scope", ("All", "AWS", "Local"), "All")
    usage = query.parameters.choice("PolicyUsageFilter", ("PermissionsPolicy", "PermissionsBoundary", "any"), "any")
    path = query.parameters.path("PathPrefix")
    query.allow(query.arn(POLICY, "*", path))
    counts = await query.tables.link_counts(query.account_id)
    after, limit = query.paging()
    found: list[managed.Managed] = []
    if scope != "AWS" and not after.startswith(_LAST):
        found += await _own(query, path, after, limit + 1)
    if scope != "Local":
        found += [one for one in managed.all_of_aws() if _place(one) > after and one.path.startswith(path)]
    links = {"PermissionsPolicy": (ATTACHED,), "PermissionsBoundary": (BOUNDARY,), "any": (ATTACHED, BOUNDARY)}[usage]
    if usage != "any" or query.parameters.flag("OnlyAttached"):
        found = [one for one in found if any(counts.get((link, one.arn)) for link in links)]
    shown = [managed.shown(one, await managed.default(query, one), counts) for one in found[:limit]]
    return {"Policies": shown, **truncation(found, limit, _place)}


def _place(policy: managed.Managed) -> str:
    """Its place in the list, and in the marker."""
    return fold(policy.name) if policy.row is not None else _LAST + fold(policy.name)


async def _own(query: Query, path: str, after: str, limit: int) -> list[managed.Managed]:
    """All of them: what is filtered later must not end the list early."""
    found: list[managed.Managed] = []
    while rows := await query.tables.below(query.account_id, POLICY, path, after, limit):
        found += map(managed.of_row, rows)
        after = rows[-1].folded
    return found


async def delete_policy(query: Query) -> Answer:
    policy, row = await managed.own(query)
    for link in (ATTACHED, BOUNDARY):
        if await query.tables.linked(row.account_id, link, policy.arn):
            raise refusal("DeleteConflict", "Cannot delete a policy attached to entities.")
    if len(await managed.versions(query, policy)) > 1:
        raise refusal(
            "DeleteConflict",
            "This policy has more than one version. Before you delete a policy, you must delete the policy's versions. "
            "The default version is deleted with the policy.",
        )
    query.steps += changes.drop_identity(row)
    return None


async def details(query: Query, policy: managed.Managed, counts: dict[tuple[str, str], int]) -> dict[str, object]:
    """A policy with all its documents."""
    every = await managed.versions(query, policy)
    current = next(one for one in every if one.is_default)
    versions = [_shown(one, document=True) for one in every]
    return managed.shown(policy, current, counts, Description=policy.description or None, PolicyVersionList=versions)


# Versions


def _shown(one: managed.Version, *, document: bool = False) -> dict[str, object]:
    return {
        "Document": entities.shown_document(one.document) if document else None,
        "VersionId": one.name,
        "IsDefaultVersion": one.is_default,
        "CreateDate": one.created_at,
    }


async def create_policy_version(query: Query) -> Answer:
    document = _document(query)
    policy, row = await managed.own(query)
    all_versions = await managed.versions(query, policy)
    if len(all_versions) >= VERSIONS_PER_POLICY:
        raise refusal(
            "LimitExceeded",
            f"A managed policy can have up to {VERSIONS_PER_POLICY} versions. Before you create a new version, you "
            "must delete an existing version.",
        )
    number = int(said(row)["last_version"]) + 1
    fresh = managed.Version(f"v{number}", document, query.parameters.flag("SetAsDefault"), query.now)
    query.steps += changes.put_identity(row._replace(document=written(**{**said(row), "last_version": number})))
    if fresh.is_default:
        for one in all_versions:
            query.steps += changes.put_policy(_row(row, one._replace(is_default=False)))
    query.steps += changes.put_policy(_row(row, fresh))
    return {"PolicyVersion": _shown(fresh)}


def _row(policy: IdentityRow, one: managed.Version) -> PolicyRow:
    return PolicyRow(policy.account_id, POLICY, policy.folded, one.name, one.document, one.is_default, one.created_at)


async def get_policy_version(query: Query) -> Answer:
    one = await managed.version(query, await managed.asked(query))
    return {"PolicyVersion": _shown(one, document=True)}


async def list_policy_versions(query: Query) -> Answer:
    all_versions = await managed.versions(query, await managed.asked(query))
    page, rest = query.page(all_versions, _newest_first)
    return {"Versions": [_shown(one) for one in page], **rest}


def _newest_first(one: managed.Version) -> str:
    return f"{10**9 - int(one.name[1:]):010}"


async def set_default_policy_version(query: Query) -> Answer:
    policy, row = await managed.own(query)
    wanted = await managed.version(query, policy)
    for one in await managed.versions(query, policy):
        if one.is_default != (one.name == wanted.name):
            query.steps += changes.put_policy(_row(row, one._replace(is_default=not one.is_default)))
    return None


async def delete_policy_version(query: Query) -> Answer:
    policy, row = await managed.own(query)
    one = await managed.version(query, policy)
    if one.is_default:
        raise refusal("DeleteConflict", "Cannot delete the default version of a policy.")
    query.steps += changes.drop_policy(_row(row, one))
    return None
