"""What bodies may hold in memory at one time (law 9). Counts bytes; knows nothing of what they are."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable


class Budget:
    """First come, first served. A share larger than the whole is granted when nothing else is held."""

    __slots__ = ("_granting", "_waiting", "total", "used")

    def __init__(self, total: int) -> None:
        self.total = total
        self.used = 0
        self._granting = False
        self._waiting: deque[tuple[int, Callable[[], None]]] = deque()

    def take(self, share: int, granted: Callable[[], None]) -> bool:
        """True when granted at once; else `granted` is called later, when the share is already taken."""
        if not self._waiting and (self.used + share <= self.total or self.used == 0):
            self.used += share
            return True
        self._waiting.append((share, granted))
        return False

    def withdraw(self, share: int, granted: Callable[[], None]) -> None:
        """Whoever has gone does not wait any longer; nothing happens if it does not wait."""
        with contextlib.suppress(ValueError):
            self._waiting.remove((share, granted))

    def give(self, share: int) -> None:
        """Return a share and grant what now fits, in order."""
        self.used -= share
        if self._granting:
            # Who is granted a share may return it at once. In here that would be as many calls deep as there are such.
            return
        self._granting = True
        try:
            while self._waiting:
                share, granted = self._waiting[0]
                if self.used + share > self.total and self.used:
                    return
                self._waiting.popleft()
                self.used += share
                granted()
        finally:
            self._granting = False

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)
