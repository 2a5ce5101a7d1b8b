"""The rows of the benchmark's table: what is asked, how large, by how many at once."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """`cold`: the kernel's caches are dropped first, and no object is read twice. `beside_puts`: as many 64 MiB
    PUTs run meanwhile. `in_mib`: the figure is MiB/s and not requests/s."""

    name: str
    operation: str
    size: int
    concurrency: int
    objects: int = 1000
    cold: bool = False
    beside_puts: int = 0
    in_mib: bool = False


KIB, MIB = 1 << 10, 1 << 20

ROWS = (
    Row("put4k_c1", "put", 4 * KIB, 1),
    Row("put4k_c8", "put", 4 * KIB, 8),
    Row("put4k_c32", "put", 4 * KIB, 32),
    Row("get4k_c1", "get", 4 * KIB, 1),
    Row("get4k_c8", "get", 4 * KIB, 8, 2000),
    Row("get4k_c32", "get", 4 * KIB, 32, 4000),
    Row("get4k_c8_cold", "get", 4 * KIB, 8, 8000, cold=True),
    Row("get4k_c8_beside_8_puts", "get", 4 * KIB, 8, 2000, beside_puts=8),
    Row("stat_c32", "stat", KIB, 32, 2000),
    Row("list_c4", "list", 16, 4, 2000),
    Row("delete_c8", "delete", KIB, 8, 12000),
    Row("mixed64k_c16", "mixed", 64 * KIB, 16),
    Row("put1m_c8", "put", MIB, 8, in_mib=True),
    Row("get1m_c8", "get", MIB, 8, 200, in_mib=True),
    Row("get1m_c8_cold", "get", MIB, 8, 600, cold=True, in_mib=True),
    Row("put64m_c2", "put", 64 * MIB, 2, in_mib=True),
    Row("get64m_c2", "get", 64 * MIB, 2, 8, in_mib=True),
    Row("mpu256m_c2", "multipart", 256 * MIB, 2, in_mib=True),
)
