"""The benchmark runs against a store, row by row; what it measures is nobody's assertion."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
ROWS = "put4k_c8,get4k_c8,stat_c32,list_c4,mixed64k_c16,put1m_c8,get1m_c8"


def test_each_row_gives_figures_without_errors(store: Any) -> None:
    command = [sys.executable, "-m", "bench", "--endpoint", store.endpoint, "--access-key", store.access_key]
    command += ["--secret-key", store.secret_key, "--rows", ROWS, "--seconds", "0.3", "--json"]
    command += ["--server-pid", str(store.gates[0].pid), "--no-null"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["row"] for line in lines] == ROWS.split(",")
    for line in lines:
        assert line["errors"] == 0 and line["figure"] > 0 and line["p99_ms"] >= line["p50_ms"] > 0, line
        assert line["memory_mib"] > 1


def test_the_empty_server_is_measured_too() -> None:
    from bench.__main__ import measure_null
    from bench.rows import ROWS as ALL

    for row in ALL:
        if row.name in ("put4k_c8", "get4k_c8", "stat_c32"):
            result = measure_null(row, 0.2)
            assert result is not None and result.errors == 0 and result.per_second > 100


def test_an_unknown_row_is_refused() -> None:
    command = [sys.executable, "-m", "bench", "--access-key", "a", "--secret-key", "b", "--rows", "nothing"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and "no such rows: nothing" in done.stderr
