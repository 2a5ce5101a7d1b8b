"""Prints how many microseconds this Python takes for a little work of a gate's kind; fails below version 3.11.

Distributions build Python with profiles of real programs, `./configure && make` (pyenv's default) does not: that
costs a gate about a fifth more CPU, so `scripts/bootstrap` asks each Python 3.11 that it finds.
"""

import sys
import time

ROUNDS = 40


class _Field:
    __slots__ = ("name", "value")

    def __init__(self, name, value):
        self.name = name
        self.value = value

    def joined(self, other):
        return _Field(self.name, self.value + other.value)


def work():
    total, seen = _Field("total", 0), {}
    for number in range(5_000):
        total = total.joined(_Field("one", 1))
        seen[f"{number & 255}:{total.name}".partition(":")[0]] = (number, total)
    return seen


def main():
    if sys.version_info < (3, 11):  # noqa: UP036 - it may be run by any
        sys.exit("s3gate needs Python 3.11 or later")
    took = []
    for _ in range(ROUNDS):
        begun = time.process_time_ns()
        work()
        took.append(time.process_time_ns() - begun)
    print(min(took) // 1_000)


main()
