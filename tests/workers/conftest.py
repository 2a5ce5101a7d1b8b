"""This room's tests run against a whole store in one process."""

from tests.fix_ministore import ministore as ministore
