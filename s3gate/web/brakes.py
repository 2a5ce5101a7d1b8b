"""Guessing is slowed: whoever fails to prove who they are too often is told so later, and then not at all.

Failures are counted by remote address and by access key, each in a bounded table whose counts run out with time. While
either count is above the limit, a further failure is answered only after a delay; when as many as may wait do wait, of
one address or of all, with SlowDown at once. A request that proves who sent it never comes here: neighbours behind the
same address, and the owner of a key that others guess at, notice nothing.
"""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable

from s3gate.s3.credentials import claimed_key
from s3gate.s3.errors import S3Error
from s3gate.s3.request import Request

FAILURES = frozenset(("InvalidAccessKeyId", "InvalidClientTokenId", "InvalidToken", "SignatureDoesNotMatch"))
"""What those are told who claim to be somebody and are not."""
MOST_COUNTED = 10_000
"""Addresses, and access keys: beyond it the one that failed least recently is forgotten."""
MOST_WAITING = 256
MOST_WAITING_OF_ONE = 16
"""Of one address: what it may learn is this many guesses in the time of a delay."""
MINUTE = 60.0
IPV6_SITE_BITS = 64
"""Whoever has one IPv6 address has all of these."""

Sleep = Callable[[float], Awaitable[object]]


class Counts:
    """Failures by name, which run out at the rate of the limit per minute."""

    def __init__(self, per_minute: int, clock: Callable[[], float], most: int = MOST_COUNTED) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._most = most
        self._counts: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def add(self, name: str) -> bool:
        """One more. Whether that is above the limit; a count never goes beyond its double, so that it ends soon."""
        now = self._clock()
        count, at = self._counts.pop(name, (0.0, now))
        count = max(0.0, count - (now - at) * self._per_minute / MINUTE) + 1
        self._counts[name] = (min(count, 2.0 * self._per_minute), now)
        if len(self._counts) > self._most:
            self._counts.popitem(last=False)
        return count > self._per_minute

    def __len__(self) -> int:
        return len(self._counts)


class Brakes:
    """Of one process. `per_minute` 0: nobody is slowed."""

    def __init__(
        self,
        per_minute: int,
        delay_seconds: float,
        *,
        most_waiting: int = MOST_WAITING,
        most_waiting_of_one: int = MOST_WAITING_OF_ONE,
        clock: Callable[[], float] = time.monotonic,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._per_minute = per_minute
        self._delay_seconds = delay_seconds
        self._most_waiting = most_waiting
        self._most_waiting_of_one = most_waiting_of_one
        self._waiting: Counter[str] = Counter()
        self._sleep = sleep
        self._by_address = Counts(per_minute, clock)
        self._by_key = Counts(per_minute, clock)
        self.failed = 0
        self.slowed = 0

    async def held(self, error: S3Error, request: Request | None) -> S3Error:
        """What is to be answered instead of this error, and not before now: itself, or SlowDown."""
        if error.code not in FAILURES or request is None:
            return error
        self.failed += 1
        site = site_of(request.remote)
        access_key = claimed_key(request)[0] or error.extra.get("AWSAccessKeyId", "")  # a form's is in its body
        if not self._per_minute or not self._is_above(site, access_key):
            return error
        self.slowed += 1
        if self.waiting >= self._most_waiting or self._waiting[site] >= self._most_waiting_of_one:
            return S3Error.of("SlowDown")
        self._waiting[site] += 1
        try:
            await self._sleep(self._delay_seconds)
        finally:
            self._waiting[site] -= 1
            self._waiting = +self._waiting
        return error

    @property
    def waiting(self) -> int:
        """How many answers are held back."""
        return self._waiting.total()

    def _is_above(self, site: str, access_key: str) -> bool:
        above = self._by_address.add(site)
        return (access_key != "" and self._by_key.add(access_key)) or above


def site_of(address: str) -> str:
    """What counts as one address: of IPv6 the whole network of a site."""
    if ":" not in address:
        return address
    try:
        parsed = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Network((parsed, IPV6_SITE_BITS), strict=False))
