"""Writes docs/compatibility.md from the dispatch table and what stands beside it; a test compares."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "compatibility.md"
sys.path.insert(0, str(ROOT))

from s3gate.s3 import remarks, unbuilt  # noqa: E402
from s3gate.s3.operation import OPERATIONS, Operation  # noqa: E402

HEAD = """# Compatibility with S3

Made by `scripts/compatibility.py` from the dispatch table (`s3gate/s3/operation.py`) and the lists beside it. Tests
walk AWS's own model: every input of a built operation is honoured, refused by name, or listed here.

## Operations

| operation | state | remarks |
| --- | --- | --- |
"""


def page() -> str:
    """The whole document."""
    return HEAD + "\n".join([*_operations(), *_inputs(), *_outputs(), ""])


def _operations() -> Iterator[str]:
    for name in sorted(OPERATIONS):
        row = OPERATIONS[name]
        yield f"| {name} | {_state(row)} | {remarks.BUILT.get(name) or remarks.UNBUILT.get(name, '')} |"


def _state(row: Operation) -> str:
    if row.superseded:
        return "built, as its newer form"
    return "built" if row.built else "501"


def _inputs() -> Iterator[str]:
    yield from ("", "## Headers that are refused by name", "")
    yield "501 `NotImplemented`, unless the value asks for nothing, or the operation is one of those named."
    yield from ("", "| header | asks for nothing | honoured by |", "| --- | --- | --- |")
    for header, harmless in sorted(unbuilt.HARMLESS.items()):
        values = ", ".join(f"`{value.decode()}`" for value in sorted(harmless) if value)
        yield f"| `{header.decode()}` | {values} | {', '.join(sorted(unbuilt.HONOURED.get(header, ())))} |"
    yield f"| `{unbuilt.GRANTS.decode()}…` | | {', '.join(sorted(unbuilt.TAKING_ACLS))} |"
    yield from ("", "## Inputs that change nothing", "", "| input | why |", "| --- | --- |")
    for name, reason in sorted(remarks.UNASKED.items()):
        yield f"| `{name}` | {reason} |"


def _outputs() -> Iterator[str]:
    yield from ("", "## Outputs that no answer has", "", "| output | why |", "| --- | --- |")
    for name, reason in sorted(remarks.NOT_GIVEN.items()):
        yield f"| `{name}` | {reason} |"


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(), "utf-8")
