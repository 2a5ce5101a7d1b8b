"""Runs the test suites one after the other and tells what each used of its time budget.

A suite is a directory of tests/ (`static` is the linters, `top` the files of tests/ itself). Every directory must have
a budget here, so that the sum stays what `.ci/run` may take.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIMIT_SECONDS = 29 * 60
NO_TESTS = 5

# Suite: budget in seconds. Those in ALONE start whole stores and measure time: one at a time, one process.
BUDGETS = {
    "static": 60,
    "top": 35,
    "s3": 30,
    "iam": 20,
    "geometry": 20,
    "crypto": 20,
    "identity": 30,
    "iam_api": 45,
    "chunkd": 90,
    "catalog": 90,
    "store": 60,
    "operations": 60,
    "web": 90,
    "workers": 60,
    "admin": 45,
    "bench": 30,
    "embedded": 110,
    "deploy": 30,
    "clients": 315,
    "crash": 250,
    "limits": 105,
    "attacks": 75,
    "access": 60,
}
ALONE = {"access", "top", "embedded", "deploy", "clients", "crash", "limits", "attacks", "bench"}
PROCESSES = 2

STATIC = (
    ["ruff", "format", "--check", "."],
    ["ruff", "check", "."],
    ["mypy"],
)


def suites() -> list[str]:
    """What there is to run, in the order of the budgets."""
    found = {path.name for path in (ROOT / "tests").iterdir() if any(path.glob("test_*.py"))}
    unknown = found - BUDGETS.keys()
    if unknown:
        sys.exit(f"no budget in {__file__} for: {', '.join(sorted(unknown))}")
    return [name for name in BUDGETS if name in found | {"static", "top"}]


def commands(suite: str, extra: list[str]) -> list[list[str]]:
    """The command lines of a suite."""
    tools = Path(sys.executable).parent
    if suite == "static":
        return [[str(tools / command[0]), *command[1:]] for command in STATIC]
    paths = sorted(map(str, (ROOT / "tests").glob("test_*.py"))) if suite == "top" else [f"tests/{suite}"]
    spread = [] if suite in ALONE else ["-n", str(PROCESSES)]
    return [[sys.executable, "-m", "pytest", *spread, *extra, *paths]]


def run(suite: str, extra: list[str]) -> bool:
    """Whether every command of the suite succeeded."""
    results = [subprocess.run(command, cwd=ROOT, check=False).returncode for command in commands(suite, extra)]
    return all(code == 0 for code in results)


def main() -> int:
    """Run, then print a table; fails if a suite failed, not if it was slow."""
    parser = argparse.ArgumentParser("scripts/test")
    parser.add_argument("--long", action="store_true", help="with what takes long; budgets do not apply")
    parser.add_argument("suites", nargs="*", metavar="SUITE")
    given = parser.parse_args()
    if sum(BUDGETS.values()) > LIMIT_SECONDS:
        sys.exit("the budgets exceed what .ci/run may take")
    rows: list[tuple[str, bool, float]] = []
    for suite in given.suites or suites():
        print(f"--- {suite}", flush=True)
        started = time.monotonic()
        passed = run(suite, ["--long"] if given.long else [])
        rows.append((suite, passed, time.monotonic() - started))
    print(f"\n{'suite':12} {'budget s':>8} {'used s':>8}")
    for suite, passed, used in rows:
        remark = "" if passed else "  FAILED"
        remark += "  over its budget" if used > BUDGETS[suite] and not given.long else ""
        print(f"{suite:12} {BUDGETS[suite]:8} {used:8.1f}{remark}")
    failed = sum(not passed for _, passed, _ in rows)
    print(f"suites: {len(rows) - failed} passed, {failed} failed", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
