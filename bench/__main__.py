"""`python -m bench`: measures an S3 endpoint row by row and prints a table.

    python -m bench --endpoint http://127.0.0.1:9000 --access-key K --secret-key S --server-pid $(cat up.pid)

Each row also runs against an empty server (bench/null.py); `of null` is the fraction of what this machine and
this generator can do at most. CPU per request and memory are those of the process tree of --server-pid.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from statistics import median

import uvloop

from bench import processes
from bench.load import Load, Result, Target
from bench.rows import MIB, ROWS, Row

WARM_UP_SECONDS = 1.0
BESIDE_LEAD_SECONDS = 1.0


@contextlib.contextmanager
def null_server(size: int) -> Iterator[str]:
    command = [sys.executable, "-m", "bench.null", str(size)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.kill()


async def measure(target: Target, row: Row, seconds: float, server_pid: int | None = None) -> Result:
    """One row once, after a warm-up that is not counted (cold rows and deletes have none)."""
    load = Load(target, row.operation, row.size, row.objects)
    await load.prepare()
    if row.cold:
        if not processes.drop_page_cache():
            raise PermissionError("cold rows drop the kernel's caches: run as root")
    elif row.operation != "delete":
        await load.run(row.concurrency, WARM_UP_SECONDS)
    beside = None
    if row.beside_puts:
        puts = Load(target, "put", 64 * MIB, 0)
        beside = asyncio.create_task(puts.run(row.beside_puts, seconds + BESIDE_LEAD_SECONDS))
        await asyncio.sleep(BESIDE_LEAD_SECONDS)
    pids = processes.tree(server_pid) if server_pid else []
    before = processes.cpu_seconds(pids)
    result = await load.run(row.concurrency, seconds, once=row.cold)
    result.cpu_seconds = processes.cpu_seconds(pids) - before
    result.memory_mib = processes.memory_mib(pids)
    if beside is not None:
        await beside
    return result


def measure_null(row: Row, seconds: float) -> Result | None:
    if row.operation in ("list", "multipart") or row.cold or row.beside_puts:
        return None
    with null_server(row.size if row.operation in ("get", "mixed") else 0) as endpoint:
        return uvloop.run(measure(Target(endpoint, "null", "null"), row, min(seconds, 2.0)))


def figures(row: Row, result: Result) -> dict[str, float]:
    return {
        "figure": result.mib_per_second if row.in_mib else result.per_second,
        "p50_ms": result.quantile_ms(0.5),
        "p99_ms": result.quantile_ms(0.99),
        "cpu_ms_per_request": result.cpu_seconds * 1000 / max(1, len(result.latencies_ms)),
        "memory_mib": result.memory_mib,
        "errors": result.errors,
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--endpoint", default="http://127.0.0.1:9000")
    parser.add_argument("--access-key", required=True)
    parser.add_argument("--secret-key", required=True)
    parser.add_argument("--region", default="us-east-1")
    parser.add_argument("--rows", default="", help="names with commas; all when left out")
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rounds", type=int, default=1, help="the median of so many is printed")
    parser.add_argument("--server-pid", type=int, help="root of the server's process tree, for CPU and memory")
    parser.add_argument("--json", action="store_true", help="a JSON line a row instead of the table")
    parser.add_argument("--no-null", action="store_true", help="leave the empty server out")
    options = parser.parse_args()
    target = Target(options.endpoint, options.access_key, options.secret_key, options.region)
    wanted = set(options.rows.split(",")) if options.rows else {row.name for row in ROWS}
    if unknown := wanted - {row.name for row in ROWS}:
        parser.error(f"no such rows: {', '.join(sorted(unknown))}")
    if not options.json:
        titles = ("figure", "", "of null", "p50 ms", "p99 ms", "CPU ms", "MiB", "errors")
        widths = (10, 7, 9, 9, 9, 9, 7, 8)
        print(f"{'row':<24}" + "".join(f"{title:>{width}}" for title, width in zip(titles, widths, strict=True)))
    for row in ROWS:
        if row.name in wanted:
            report(target, row, options)


def report(target: Target, row: Row, options: argparse.Namespace) -> None:
    runs = (measure(target, row, options.seconds, options.server_pid) for _ in range(options.rounds))
    rounds = [figures(row, uvloop.run(run)) for run in runs]
    middle = {name: median(each[name] for each in rounds) for name in rounds[0]}
    null = None if options.no_null else measure_null(row, options.seconds)
    share = None
    if null is not None:
        share = middle["figure"] / (null.mib_per_second if row.in_mib else null.per_second)
    if options.json:
        print(json.dumps({"row": row.name, **middle, "of_null": share}), flush=True)
        return
    unit = "MiB/s" if row.in_mib else "/s"
    print(
        f"{row.name:<24}{middle['figure']:>10,.0f} {unit:<6}{f'{share:.1%}' if share else '-':>9}"
        f"{middle['p50_ms']:>9.2f}{middle['p99_ms']:>9.2f}{middle['cpu_ms_per_request']:>9.3f}"
        f"{middle['memory_mib']:>7.0f}{middle['errors']:>8.0f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
