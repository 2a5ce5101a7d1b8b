"""AWS's own model of S3, walked: what it documents of a built operation is honoured, refused by name, or listed.

By machine, as far as that goes: a member counts as honoured when its name on the wire stands in the code that the
operation runs through. What answers really contain is seen by `tests/clients/test_model_answers.py`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from botocore.model import OperationModel, Shape, StructureShape
from botocore.session import get_session

from s3gate.s3 import remarks
from s3gate.s3.algorithms import Algorithm
from s3gate.s3.errors import S3Error
from s3gate.s3.operation import BEYOND_THE_MODEL, OPERATIONS, Operation, refusal
from s3gate.s3.request import Headers
from s3gate.s3.unbuilt import refuse_unbuilt
from s3gate.web.dispatch import function_name
from scripts.compatibility import PAGE, page

ROOT = Path(__file__).resolve().parents[2]
MODEL = get_session().get_service_model("s3")
BUILT = sorted(name for name, row in OPERATIONS.items() if row.built and name not in BEYOND_THE_MODEL)
ROOMS = ("s3gate.s3", "s3gate.operations", "s3gate.iam", "s3gate.crypto")
WORD = re.compile(r"[A-Za-z][A-Za-z0-9-]*")

# Below elements that are refused, or not given, themselves.
WITHIN = {
    "DataRedundancy": "Bucket",
    "Type": "Bucket and Location",
    "IsRestoreInProgress": "RestoreStatus",
    "RestoreExpiryDate": "RestoreStatus",
}


@cache
def source(module: str) -> ast.Module | None:
    path = ROOT / (module.replace(".", "/") + ".py")
    return ast.parse(path.read_text("utf-8")) if path.is_file() else None


@cache
def own_words(module: str) -> tuple[frozenset[str], frozenset[str]]:
    """The string constants of a module as they are, and every word in them."""
    tree = source(module)
    if tree is None:
        return frozenset(), frozenset()
    constants = {
        node.value if isinstance(node.value, str) else node.value.decode("latin-1")
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes)
    }
    return frozenset(constants), frozenset(word for text in constants for word in WORD.findall(text))


@cache
def imports(module: str) -> frozenset[str]:
    tree = source(module)
    found: set[str] = set()
    for node in ast.walk(tree) if tree is not None else ():
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(ROOMS):
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(found)


@cache
def said(operation: str) -> tuple[frozenset[str], frozenset[str]]:
    """Constants and words of every module that the operation's own reaches. What a Get shows, its Put has written."""
    twin = "Put" + operation.removeprefix("Get")
    names = [name for name in (operation, twin) if name in OPERATIONS and OPERATIONS[name].built]
    reached, waiting = set[str](), [f"s3gate.operations.{function_name(name)}" for name in names]
    while waiting:
        module = waiting.pop()
        if module not in reached and not module.endswith((".remarks", ".unbuilt", ".operation")):
            reached.add(module)
            waiting += imports(module)
    constants = frozenset().union(*(own_words(module)[0] for module in reached))
    words = frozenset().union(*(own_words(module)[1] for module in reached))
    return constants | {algorithm.header for algorithm in Algorithm}, words | made_words()


@cache
def made_words() -> frozenset[str]:
    """Element names that are put together: a prefix and the name of an algorithm."""
    return frozenset(f"Checksum{algorithm.value}" for algorithm in Algorithm)


def is_said(name: str, constants: frozenset[str]) -> bool:
    """As it is, or as a beginning and a rest."""
    cuts = range(8, len(name))
    return name in constants or any(name[:cut] in constants and name[cut:] in constants for cut in cuts)


def is_refused(operation: str, header: str) -> bool:
    try:
        refuse_unbuilt(Headers([(header.encode(), b"anything")]), operation)
    except S3Error:
        return True
    return False


def wire_name(member: str, shape: Shape) -> str:
    return str(shape.serialization.get("name", member))


def elements(shape: Shape, name: str, above: frozenset[str] = frozenset()) -> Iterator[str]:
    """The names of all elements of a document below this one."""
    if isinstance(shape, StructureShape):
        if shape.name not in above:
            for member, inner in shape.members.items():
                yield from elements(inner, wire_name(member, inner), above | {shape.name})
        if above:
            yield name
    elif shape.type_name == "list":
        inner = shape.member  # type: ignore[attr-defined]
        flat = shape.serialization.get("flattened")
        if not flat:
            yield name
        yield from elements(inner, name if flat else wire_name("member", inner), above or frozenset(("list",)))
    else:
        yield name


def missing_elements(operation: str, shape: Shape, name: str) -> list[str]:
    words = said(operation)[1]
    known = words | remarks.NOT_GIVEN.keys() | WITHIN.keys()
    return sorted({each for each in elements(shape, name) if not known.issuperset(each.split(":"))})


def members(model: OperationModel, side: str) -> Iterator[tuple[str, str, Shape]]:
    """Where on the wire, by which name, and what."""
    shape = model.input_shape if side == "input" else model.output_shape
    for member, inner in shape.members.items() if shape is not None else ():
        yield inner.serialization.get("location", ""), wire_name(member, inner), inner


@pytest.mark.parametrize("name", BUILT)
def test_every_input_is_honoured_or_refused(name: str) -> None:
    row, (constants, _) = OPERATIONS[name], said(name)
    model = MODEL.operation_model(name)
    for where, wire, shape in members(model, "input"):
        if where in ("header", "headers"):
            header = wire.lower()
            listed = header in remarks.UNASKED or is_of_the_door(header)
            assert listed or is_refused(name, header) or is_said(header, constants), header
        elif where == "querystring":
            assert wire in row.takes or wire in row.needs or wire == row.subresource, wire
            assert is_said(wire, constants), wire
        elif not where and shape.type_name != "blob":
            assert not missing_elements(name, shape, wire)


def is_of_the_door(header: str) -> bool:
    """What belongs to every request with a body, and is judged before the operation."""
    return header in ("content-length", "content-md5")


@pytest.mark.parametrize("name", BUILT)
def test_every_output_is_given_or_listed(name: str) -> None:
    constants, words = said(name)
    model = MODEL.operation_model(name)
    for where, wire, shape in members(model, "output"):
        if where in ("header", "headers"):
            given = is_said(wire.lower(), constants) or wire.lower() in words
            listed = wire in remarks.NOT_GIVEN or f"{name}: {wire}" in remarks.NOT_GIVEN
            assert given or listed or wire == "Content-Length", wire
        elif not where and shape.type_name != "blob":
            assert not missing_elements(name, shape, wire)


def test_the_lists_say_nothing_that_is_not_so() -> None:
    unbuilt = {name for name, row in OPERATIONS.items() if not row.built and not row.superseded}
    assert remarks.UNBUILT.keys() <= unbuilt
    assert remarks.BUILT.keys() <= OPERATIONS.keys() - unbuilt
    inputs = {wire.lower() for name in BUILT for _, wire, _ in members(MODEL.operation_model(name), "input")}
    assert remarks.UNASKED.keys() <= inputs
    assert not [header for header in remarks.UNASKED if any(is_refused(name, header) for name in BUILT)]


@pytest.mark.parametrize("row", [row for row in OPERATIONS.values() if not row.built and not row.superseded])
def test_what_is_not_built_says_so_by_name(row: Operation) -> None:
    error = refusal(row)
    if row.name not in BEYOND_THE_MODEL:
        assert (error.status, error.code, error.extra["Operation"]) == (501, "NotImplemented", row.name)
        assert row.name in error.message


def test_the_page_is_the_generated_one() -> None:
    assert PAGE.read_text("utf-8") == page(), "run scripts/compatibility.py"
