"""How reports read on a terminal. Text in lines; it knows the shapes of the reports and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from s3gate.admin.findings import Report
from s3gate.admin.nodes import FleetReport
from s3gate.admin.rotate import KeyInfo, Rotated
from s3gate.admin.where import ObjectPlace

SHOWN = 20
"""Findings of one kind that are shown; JSON has more."""


def size(count: float) -> str:
    """Bytes as people read them."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    raise AssertionError("unreachable")


def check_lines(report: Report) -> Iterator[str]:
    """`admin check`."""
    yield (
        f"{report.objects} objects, {report.older_versions} older versions, {report.parts} parts, "
        f"{report.uploads} uploads: {report.segments} segments in {report.shards} shards, {size(report.bytes)}, "
        f"written by {report.sessions} sessions"
    )
    yield f"{report.garbage} contents and {report.parked} lists of shards wait to be deleted"
    for _, kind in report.kinds():
        if kind.count:
            yield f"{'ERROR' if kind.is_error else 'note'}: {kind.count} {kind.title}"
            yield from (f"  {line}" for line in kind.listed[:SHOWN])
            if kind.count > SHOWN:
                yield f"  and {kind.count - SHOWN} more"
    yield "clean" if report.clean else "NOT clean"


def where_lines(place: ObjectPlace) -> Iterator[str]:
    """`admin where`."""
    what = "a delete marker" if place.marker else f"{place.size} bytes, etag {place.etag}"
    yield f"{place.bucket}/{place.key}: {what}, version {place.version}, version id {place.version_id}"
    if len(place.versions) > 1:
        for each in place.versions:
            latest = "  current" if each.is_latest else ""
            held = "delete marker" if each.marker else f"{each.size} bytes"
            yield f"  version id {each.version_id}  {each.modified_at}  {held}{latest}"
    for part in place.parts:
        if part.part_number:
            yield f"part {part.part_number}: {part.size} bytes"
        for segment in part.segments:
            yield f"  segment {segment.segment_id}: {segment.length} bytes, group {segment.group_id}"
            for shard in segment.shards:
                node = f"node {shard.node_id} at {shard.address}"
                yield f"    slot {shard.slot}  {shard.length:>10} bytes  {node}  {shard.shard_id}  {shard.found}"


def nodes_lines(fleet: FleetReport) -> Iterator[str]:
    """`admin nodes`."""
    for node in fleet.nodes:
        yield (
            f"node {node.node_id}  {node.heard:<7} {node.state:<9} {node.address}  host {node.host or '-'}  "
            f"zone {node.zone or '-'}  {size(node.free_bytes)} free of {size(node.capacity_bytes)}, "
            f"{size(node.used_bytes)} used, heard {node.heartbeat_age_seconds:.1f} s ago"
        )
    for group in fleet.groups:
        spread = f"up to {group.most_on_one_device} of 6 slots on one device, {group.most_on_one_host} on one host"
        yield f"group {group.group_id}  {'writable' if group.writable else 'retired '}  {spread}"


def keys_lines(found: Iterable[KeyInfo]) -> Iterator[str]:
    """`admin keys`."""
    for key in found:
        state = "" if key.enabled else "  disabled"
        yield f"{key.name}  {key.used_for:<16} version {key.current} of {key.versions}{state}"


def rotated_lines(rotated: Rotated) -> Iterator[str]:
    """`admin rotate-keys`."""
    yield f"{rotated.rewrapped} data keys wrapped anew; {rotated.looked_at} rows looked at"
    for reason, count in rotated.left.items():
        yield f"{count} left as they were: {reason}"
