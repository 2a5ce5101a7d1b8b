"""GetAccountAuthorizationDetails: everything that an account has, with all that it may do, page by page."""

from __future__ import annotations

from typing import Any, Final

from s3gate.catalog.identity_rows import ATTACHED, BOUNDARY, GROUP, MEMBER_OF, POLICY, ROLE, USER, IdentityRow
from s3gate.iam_api import entities, managed, policies
from s3gate.iam_api.errors import invalid
from s3gate.iam_api.query import Answer, Query
from s3gate.iam_api.roles import role_details

_LISTS: Final = {USER: "UserDetailList", GROUP: "GroupDetailList", ROLE: "RoleDetailList", POLICY: "Policies"}
_FILTERS: Final = {"User": USER, "Group": GROUP, "Role": ROLE, "LocalManagedPolicy": POLICY, "AWSManagedPolicy": ""}
_Item = tuple[str, IdentityRow | managed.Managed]
"""Its place in the order of all, which markers name, and what it is."""


async def get_account_authorization_details(query: Query) -> Answer:
    query.allow("*")
    asked = query.parameters.members("Filter")
    for one in asked:
        if one not in _FILTERS:
            raise invalid("Filter", one, f"Member must satisfy enum value set: [{', '.join(_FILTERS)}]")
    page, rest = query.page(await _items(query, set(asked or _FILTERS)), lambda item: item[0])
    counts = await query.tables.link_counts(query.account_id)
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in _LISTS.values()}
    for _, item in page:
        if isinstance(item, IdentityRow):
            found[_LISTS[item.kind]].append(await _bearer(query, item))
        else:
            found[_LISTS[POLICY]].append(await policies.details(query, item, counts))
    return {**found, **rest}


async def _items(query: Query, wanted: set[str]) -> list[_Item]:
    """What the filters let through: users, groups and roles, the account's policies, those of AWS that it uses."""
    found: list[_Item] = []
    for name, kind in _FILTERS.items():
        if name not in wanted or not kind:
            continue
        for row in await entities.every(query, kind):
            found.append((f"{kind}/{row.folded}", managed.of_row(row) if kind == POLICY else row))
    if "AWSManagedPolicy" in wanted:
        counts = await query.tables.link_counts(query.account_id)
        used = [
            one for one in managed.all_of_aws() if counts.get((ATTACHED, one.arn)) or counts.get((BOUNDARY, one.arn))
        ]
        found += [(f"~{one.name.lower()}", one) for one in used]
    return sorted(found, key=lambda item: item[0])


async def _bearer(query: Query, row: IdentityRow) -> dict[str, Any]:
    noun = entities.NOUN[row.kind]
    links = await query.tables.links(row.account_id, [(row.kind, row.folded)])
    inline = await query.tables.policies(row.account_id, [(row.kind, row.folded)])
    boundary = next((link.target for link in links if link.link == BOUNDARY), "")
    attached = [await managed.found(query, link.target) for link in links if link.link == ATTACHED]
    groups = [await query.tables.find(row.account_id, GROUP, link.target) for link in links if link.link == MEMBER_OF]
    shown = {
        **entities.shown(row, boundary, tags=True),
        f"{noun}PolicyList": [
            {"PolicyName": one.name, "PolicyDocument": entities.shown_document(one.document)} for one in inline
        ],
        "AttachedManagedPolicies": [{"PolicyName": one.name, "PolicyArn": one.arn} for one in attached],
    }
    if row.kind == USER:
        shown["GroupList"] = [group.name for group in groups if group is not None]
    return {**shown, **await role_details(query, row)} if row.kind == ROLE else shown
