"""The allocator of groups: which six nodes each, so that writes spread by capacity and over hosts and zones.

Pure and deterministic: it decides, others act. It moves no data. A retired group takes no more writes and
stays readable, so a plan costs nothing but the row of a group.

How many slots a node gets follows its capacity, as far as six distinct nodes in distinct hosts and zones
allow it. Existing groups are kept as far as the slots of all nodes can still be reached: r new groups can
give a node at most r slots, so a new node makes room by retiring as few groups as possible.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from s3gate.geometry.placement import Group, NodeView
from s3gate.geometry.stripe import SHARDS

NOT_PLANNED = frozenset({"lost", "draining"})
"""States whose nodes get no slots. A node that is down, full or read-only keeps its own: it may come back."""
TOLERANCE = 0.2
"""Groups are left alone while each node has its share of slots to within this part of it, or one slot."""
EVEN_CAPACITY = 0.1
UNEVEN_GROUPS_PER_NODE = 4
"""With unequal disks more groups are needed, so that whole slots come near to the shares."""


@dataclass(frozen=True, slots=True)
class GroupPlan:
    """What to do: groups to create, six nodes each, and the ids of groups to retire."""

    create: list[tuple[bytes, ...]]
    retire: list[int]


class _Domain(NamedTuple):
    """Nodes of which a group takes at most `most`: a host or a zone, or a node itself."""

    members: frozenset[bytes]
    most: int


def plan_groups(nodes: Sequence[NodeView], groups: Sequence[Group]) -> GroupPlan:
    """The changes that make the writable groups fit the nodes; none if they fit well enough."""
    eligible = sorted((node for node in nodes if node.state not in NOT_PLANNED), key=lambda node: node.node_id)
    known = {node.node_id for node in eligible}
    writable = sorted((group for group in groups if group.writable), key=lambda group: group.group_id)
    if len(eligible) < SHARDS:
        return GroupPlan([], [group.group_id for group in writable if not known.issuperset(group.nodes)])
    domains = _domains(eligible)
    count = _group_count(eligible)
    targets = _targets(eligible, domains, count)
    fitting = [group for group in writable if _fits(group.nodes, known, domains)]
    kept = fitting if _near(fitting, targets) else _keep(fitting, targets, count)
    kept_ids = {group.group_id for group in kept}
    create = [] if kept is fitting else _create(kept, targets, domains, count)
    return GroupPlan(create, [group.group_id for group in writable if group.group_id not in kept_ids])


def _domains(nodes: Sequence[NodeView]) -> list[_Domain]:
    """Nodes, hosts and zones as nested sets, with the least bounds under which six nodes can be found."""
    zones: dict[str, dict[str, list[bytes]]] = {}
    for node in nodes:
        zones.setdefault(node.zone, {}).setdefault(node.host, []).append(node.node_id)
    hosts = [members for zone in zones.values() for members in zone.values()]
    per_host = _least_bound([len(members) for members in hosts])
    per_zone = _least_bound([sum(min(len(m), per_host) for m in zone.values()) for zone in zones.values()])
    return [
        *(_Domain(frozenset([node.node_id]), 1) for node in nodes),
        *(_Domain(frozenset(members), per_host) for members in hosts),
        *(_Domain(frozenset(n for m in zone.values() for n in m), per_zone) for zone in zones.values()),
    ]


def _least_bound(sizes: Sequence[int]) -> int:
    bound = 1
    while sum(min(size, bound) for size in sizes) < SHARDS:
        bound += 1
    return bound


def _group_count(nodes: Sequence[NodeView]) -> int:
    if len(nodes) == SHARDS:
        return 1
    weights = _weights(nodes)
    uneven = max(weights.values()) > (1 + EVEN_CAPACITY) * min(weights.values())
    return len(nodes) * (UNEVEN_GROUPS_PER_NODE if uneven else 1)


def _weights(nodes: Sequence[NodeView]) -> dict[bytes, int]:
    return {node.node_id: max(1, node.capacity_bytes) for node in nodes}


def _targets(nodes: Sequence[NodeView], domains: Sequence[_Domain], count: int) -> dict[bytes, int]:
    """Slots per node: filled up in proportion to capacity until a node, host or zone has all it can take."""
    weights = _weights(nodes)
    shares = dict.fromkeys(weights, 0.0)
    open_nodes = set(weights)
    rest = float(SHARDS * count)
    while open_nodes and rest > 1e-6:
        step = rest / sum(weights[node] for node in open_nodes)
        for domain in domains:
            if growing := open_nodes & domain.members:
                room = domain.most * count - sum(shares[node] for node in domain.members)
                step = min(step, max(0.0, room) / sum(weights[node] for node in growing))
        for node in open_nodes:
            shares[node] += step * weights[node]
        for domain in domains:
            if domain.most * count - sum(shares[node] for node in domain.members) < 1e-6:
                open_nodes -= domain.members
        rest = SHARDS * count - sum(shares.values())
    return _rounded(shares, domains, count)


def _rounded(shares: dict[bytes, float], domains: Sequence[_Domain], count: int) -> dict[bytes, int]:
    """Whole slots with the same sum, the largest fractions first, no domain above its bound."""
    targets = {node: int(share + 1e-6) for node, share in shares.items()}
    order = sorted(shares, key=lambda node: (targets[node] - shares[node], node))
    rest = SHARDS * count - sum(targets.values())
    while rest > 0:
        before = rest
        for node in order:
            room = _room(node, targets, domains, count)
            if rest > 0 and room > 0:
                targets[node] += 1
                rest -= 1
        if rest == before:
            break
    return targets


def _room(node: bytes, targets: dict[bytes, int], domains: Sequence[_Domain], count: int) -> int:
    """How many more slots a node may get before one of its domains is full."""
    return min(d.most * count - sum(targets[n] for n in d.members) for d in domains if node in d.members)


def _fits(group: Iterable[bytes], known: set[bytes], domains: Sequence[_Domain]) -> bool:
    members = frozenset(group)
    return (
        len(members) == SHARDS
        and known.issuperset(members)
        and all(len(members & domain.members) <= domain.most for domain in domains)
    )


def _near(groups: Sequence[Group], targets: dict[bytes, int]) -> bool:
    """Whether the groups as they are give every node about its share."""
    slots = Counter(node for group in groups for node in group.nodes)
    total = sum(targets.values())
    have = sum(slots.values())
    if not have or (len(targets) == SHARDS and len(groups) > 1):
        return False
    return all(
        abs(slots[node] * total / have - target) <= max(1.0, TOLERANCE * target) and (slots[node] or not target)
        for node, target in targets.items()
    )


def _keep(groups: Sequence[Group], targets: dict[bytes, int], count: int) -> list[Group]:
    """As many of the groups, oldest first, as leave every node's target within reach of the new ones."""
    need = Counter(targets)
    kept: list[Group] = []
    for group in groups:
        left = count - len(kept) - 1
        members = set(group.nodes)
        within = all(need[node] > 0 for node in members)
        if left >= 0 and within and all(need[node] - (node in members) <= left for node in need):
            need.subtract(members)
            kept.append(group)
    return kept


def _create(
    kept: Sequence[Group], targets: dict[bytes, int], domains: Sequence[_Domain], count: int
) -> list[tuple[bytes, ...]]:
    """New groups for the slots that are still due."""
    need = Counter(targets)
    for group in kept:
        need.subtract(group.nodes)
    taken = {frozenset(group.nodes) for group in kept}
    order = sorted(targets)
    domains_of = {node: [d for d in domains if node in d.members] for node in order}
    created: list[tuple[bytes, ...]] = []
    for left in range(count - len(kept), 0, -1):
        rank = _ranks(need, domains_of, left)
        for start in range(count - left, count - left + len(order)):
            circle = [order[(start + step) % len(order)] for step in range(len(order))]
            members = _pick(sorted(circle, key=rank.__getitem__, reverse=True), domains_of)
            if frozenset(members) not in taken:
                break
        taken.add(frozenset(members))
        need.subtract(members)
        created.append(tuple(node for node in circle if node in members))
    return created


def _ranks(
    need: Counter[bytes], domains_of: dict[bytes, list[_Domain]], left: int
) -> dict[bytes, tuple[bool, float, int]]:
    """How urgent each node is: what its domains are due, as part of what `left` groups can give them."""
    return {
        node: (
            need[node] > 0,
            round(max(sum(need[n] for n in d.members) / (d.most * left) for d in found), 9),
            need[node],
        )
        for node, found in domains_of.items()
    }


def _pick(order: Sequence[bytes], domains_of: dict[bytes, list[_Domain]]) -> list[bytes]:
    """The first six of an order within every bound; the sets are nested, so six are always found."""
    members: list[bytes] = []
    for node in order:
        if all(sum(n in d.members for n in members) < d.most for d in domains_of[node]):
            members.append(node)
            if len(members) == SHARDS:
                break
    return members
