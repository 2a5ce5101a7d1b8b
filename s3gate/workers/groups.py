"""The fleet as the worker sees it, and the groups that follow from it.

Planning is a pure function (geometry/plan.py); here it is asked, and the catalog applies what it says while it holds
the cluster's row, so that two workers never make groups twice. Retired groups stay readable: nothing is moved.
"""

from __future__ import annotations

from s3gate.geometry.placement import Group
from s3gate.geometry.plan import plan_groups
from s3gate.workers.workshop import Workshop


async def refresh_fleet(shop: Workshop) -> dict[int, Group]:
    """Read nodes, groups and layouts now; all groups there are, by id."""
    nodes, groups = await shop.catalog.fleet()
    shop.store.update(nodes, groups, await shop.catalog.layouts())
    return shop.store.fleet.groups


async def follow_fleet(shop: Workshop) -> bool:
    """Read the fleet, and change the groups if they do not fit it any more."""
    await refresh_fleet(shop)
    fleet = shop.store.fleet
    plan = plan_groups([node.view for node in fleet.nodes.values()], list(fleet.groups.values()))
    if plan.create or plan.retire:
        # What was read is a moment old: the catalog lets the plan be made again from what it has locked.
        await shop.catalog.apply_groups(plan_groups)
        await refresh_fleet(shop)
    return False
