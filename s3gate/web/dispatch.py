"""From an operation's name to the function that performs it: one table, made once.

An operation lives in the file that has its name (`PutObject` in `operations/put_object.py`), so the table is
derived and not written; a built row without its function stops the process at its start.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import import_module
from typing import cast

from s3gate.operations._performing import performed
from s3gate.operations.exchange import OperationFunction
from s3gate.s3.operation import OPERATIONS

_WORD_START = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def function_name(operation: str) -> str:
    """`ListObjectsV2` becomes `list_objects_v2`."""
    return _WORD_START.sub("_", operation).lower()


def dispatch_table() -> Mapping[str, OperationFunction]:
    """Every built operation; errors of the lower rooms leave the functions as S3's."""
    return {name: performed(_function(name)) for name, row in OPERATIONS.items() if row.built}


def _function(operation: str) -> OperationFunction:
    name = function_name(operation)
    module = import_module(f"s3gate.operations.{name}")
    return cast(OperationFunction, getattr(module, name))
