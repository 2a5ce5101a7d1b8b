"""The house rules, as a test: which room may import which, how long things get, where SQL and XML may stand."""

from __future__ import annotations

import ast
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from chunkd import settings as chunkd_settings
from s3gate import settings as gate_settings
from s3gate.s3.errors import CODES
from s3gate.s3.operation import OPERATIONS
from s3gate.web.dispatch import function_name

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("s3gate", "chunkd")
CODE = (*PACKAGES, "bench", "examples", "scripts", "tests")
LINES_OF = {"tests": 500}  # a room's tests may be one story longer than its code
MOST_LINES = 400
FUNCTION_LINES = 70

# Room: what it may import of ours besides itself. The longest name that fits a module decides.
ALLOWED: dict[str, set[str]] = {
    "chunkd": set(),
    "chunkd.wire": set(),
    "chunkd.bundle": {"chunkd.wire"},
    "s3gate.s3": set(),
    "s3gate.geometry": set(),
    "s3gate.iam": {"s3gate.s3"},
    "s3gate.settings": set(),
    "s3gate.process": set(),
    "s3gate.files": set(),
    "s3gate.crypto": {"s3gate.files"},
    "s3gate.catalog": {"s3gate.geometry"},
    "s3gate.store": {"s3gate.geometry", "chunkd.wire", "chunkd.bundle"},
    "s3gate.gate": {
        "s3gate.settings",
        "s3gate.s3",
        "s3gate.catalog",
        "s3gate.store",
        "s3gate.crypto",
        "s3gate.identity",
    },
    "s3gate.operations": {
        "s3gate.s3",
        "s3gate.iam",
        "s3gate.identity",
        "s3gate.geometry",
        "s3gate.crypto",
        "s3gate.gate",
        "s3gate.catalog",
        "s3gate.store",
    },
    "s3gate.workers": {
        "s3gate.settings",
        "s3gate.process",
        "s3gate.s3",
        "s3gate.catalog",
        "s3gate.store",
        "s3gate.geometry",
        "chunkd.wire",
    },
    "s3gate.identity": {"s3gate.catalog", "s3gate.crypto", "s3gate.iam", "s3gate.s3", "chunkd.wire"},
    "s3gate.iam_api": {
        "s3gate.catalog",
        "s3gate.iam",
        "s3gate.identity",
        "s3gate.s3",
        "s3gate.operations.exchange",
    },
    "s3gate.admin": {
        "s3gate.settings",
        "s3gate.iam",
        "s3gate.iam_api",
        "s3gate.identity",
        "s3gate.s3",
        "s3gate.catalog",
        "s3gate.store",
        "s3gate.geometry",
        "s3gate.crypto",
        "chunkd.wire",
    },
    "s3gate.web": {"s3gate.operations", "s3gate.s3", "s3gate.gate", "s3gate.iam_api", "s3gate.identity"},
    # The three files of the web that a gate's own life needs: its parts, the port of the nodes, the map of the nodes.
    "s3gate.web.serve": {"s3gate", "chunkd.wire"},
    "s3gate.web.internal": {"s3gate.catalog", "chunkd.wire"},
    "s3gate.web.fleet_watch": {"s3gate.catalog", "s3gate.geometry", "s3gate.store"},
    "s3gate.embedded": {"s3gate.settings", "s3gate.files", "s3gate.crypto"},
    "s3gate.__main__": {"s3gate", "chunkd.wire"},
}
# Started by name or by path, not imported.
ENTRIES = {"s3gate.__main__", "s3gate.admin.__main__", "chunkd.__main__", "s3gate.embedded.launch"}

SQL = re.compile(
    r"\b(SELECT\s.+\bFROM|INSERT INTO|UPDATE \w+ SET|DELETE FROM|CREATE (TABLE|INDEX|UNIQUE))\b", re.DOTALL
)
SQL_ROOMS = ("s3gate.catalog", "chunkd.")  # chunkd's is the SQLite index of one node
DATABASE_CLIENTS = {"psycopg": ("s3gate.catalog", "s3gate.embedded.postgres"), "sqlite3": ("chunkd.",)}
XML = re.compile(r"<\?xml|</\w+>")
XML_ROOM = "s3gate.s3.xml_"
WORKPLACE = re.compile("/(work|root|opt/wheels)/" + "|" + "files.python" + "hosted")


@cache
def module_paths() -> dict[str, Path]:
    """Every module of the packages, by name; a package is its `__init__`."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            found[name.removesuffix(".__init__")] = path
    return found


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def imports(module: str) -> Iterator[str]:
    """What a module imports, those for types included; `from a import b` is `a.b` if that is a module of ours."""
    known = module_paths()
    for node in ast.walk(tree(known[module])):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in known else str(node.module)


def within(module: str, room: str) -> bool:
    return module == room or module.startswith(room + ".")


def room_of(module: str) -> str:
    return max((room for room in ALLOWED if within(module, room)), key=len, default="")


def strings(path: Path) -> Iterator[str]:
    """The string constants of a file that are not documentation."""
    documentation = {
        id(node.value)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes) and id(node) not in documentation:
            yield node.value if isinstance(node.value, str) else node.value.decode("latin-1")


def tracked_files() -> list[Path]:
    """What is or would be committed."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return [ROOT / line for line in listed if (ROOT / line).is_file()]


@pytest.mark.parametrize("module", module_paths())
def test_imports_go_downward(module: str) -> None:
    if module in PACKAGES:
        return
    room = room_of(module)
    assert room, f"{module} is in no room"
    home = ".".join(module.split(".")[:2]) if room.count(".") else room
    allowed = {room, home if within(module, home) else room, *ALLOWED[room]}
    if module == "chunkd.wire":
        allowed = set()
    for name in imports(module):
        if name.split(".")[0] in PACKAGES:
            assert any(within(name, place) for place in allowed), f"{module} imports {name}"


def operation_names() -> set[str]:
    """Of every operation, as its file is named."""
    return {function_name(name) for name in OPERATIONS}


def test_operations_know_neither_the_web_nor_sql_nor_each_other() -> None:
    names = operation_names()
    for module in module_paths():
        if not within(module, "s3gate.operations"):
            continue
        for name in imports(module):
            assert name.split(".")[0] not in ("starlette", "uvicorn", "psycopg"), f"{module} imports {name}"
            other = name.removeprefix("s3gate.operations.")
            assert not within(name, "s3gate.operations") or other not in names, f"{module} imports {name}"


def test_every_module_is_used() -> None:
    used = {name for module in module_paths() for name in imports(module)}
    packages = {name.rpartition(".")[0] for name in module_paths()}
    found_by_name = {f"s3gate.operations.{name}" for name in operation_names()}  # web/dispatch.py
    orphans = set(module_paths()) - used - packages - ENTRIES - set(PACKAGES) - found_by_name
    assert not orphans


@pytest.mark.parametrize("directory", CODE)
def test_files_and_functions_stay_short(directory: str) -> None:
    for path in sorted((ROOT / directory).rglob("*.py")):
        name = path.relative_to(ROOT)
        assert len(path.read_text("utf-8").splitlines()) <= LINES_OF.get(directory, MOST_LINES), name
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.end_lineno is not None
                assert node.end_lineno - node.lineno < FUNCTION_LINES, f"{name}: {node.name}"


@pytest.mark.parametrize("module", module_paths())
def test_every_module_says_what_it_is(module: str) -> None:
    path = module_paths()[module]
    if path.name != "__init__.py" or path.stat().st_size:
        assert ast.get_docstring(tree(path)), module


@pytest.mark.parametrize("module", module_paths())
def test_sql_and_xml_stay_in_their_rooms(module: str) -> None:
    path = module_paths()[module]
    for name in imports(module):
        top = name.split(".")[0]
        assert top not in DATABASE_CLIENTS or module.startswith(DATABASE_CLIENTS[top]), f"{module} imports {name}"
        assert top not in ("lxml", "xml") or module.startswith(XML_ROOM), f"{module} imports {name}"
    for text in strings(path):
        assert module.startswith(SQL_ROOMS) or not SQL.search(text), f"{module}: SQL: {text[:60]!r}"
        assert module.startswith(XML_ROOM) or not XML.search(text), f"{module}: XML: {text[:60]!r}"


def test_every_setting_is_used() -> None:
    rest = "\n".join(path.read_text("utf-8") for name, path in module_paths().items() if name != "s3gate.settings")
    names = set(gate_settings.Settings.__dataclass_fields__) - {"cluster_key", "cluster_key_file"}
    assert "cluster_key_text" in rest  # which reads those two
    assert not [name for name in sorted(names) if not re.search(rf"\.{name}\b", rest)]


@pytest.mark.skipif(not (ROOT / "README.md").exists(), reason="there is no README.md yet")
def test_every_setting_is_documented() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    names = [*gate_settings.variables(), *(row.variable for row in chunkd_settings.TABLE)]
    assert not [name for name in names if f"`{name}`" not in readme]


def test_every_error_code_is_answered() -> None:
    used = {text for name, path in module_paths().items() if name != "s3gate.s3.errors" for text in strings(path)}
    assert not CODES.keys() - used


def test_every_metric_is_documented() -> None:
    page = (ROOT / "docs" / "operations.md").read_text("utf-8")
    gate = {
        text for path in module_paths().values() for text in strings(path) if re.fullmatch(r"s3gate(_[a-z]+)+", text)
    }
    node = re.findall(r'(?:_title\(|    \()"([a-z_]+)"', module_paths()["chunkd.metrics"].read_text("utf-8"))
    assert len(gate) > 15 and len(node) > 10
    assert not [name for name in [*gate, *(f"chunkd_{name}" for name in node)] if not re.search(rf"`{name}[`{{]", page)]


def test_no_two_test_files_have_one_name() -> None:
    names = Counter(path.name for path in (ROOT / "tests").rglob("test_*.py"))
    assert not [name for name, count in names.items() if count > 1]


def test_nothing_names_the_place_where_it_was_written() -> None:
    for path in tracked_files():
        try:
            text = path.read_text("utf-8")
        except UnicodeDecodeError:
            continue
        assert not WORKPLACE.search(text), path.relative_to(ROOT)


def test_the_locks_have_hashes_and_name_no_index() -> None:
    for path in sorted((ROOT / "requirements").glob("*.txt")):
        text = path.read_text()
        assert "://" not in text and "--index" not in text, path.name
        for requirement in re.split(r"\n(?=\S)", text.strip()):
            assert "==" in requirement and "--hash=sha256:" in requirement, f"{path.name}: {requirement[:60]}"
