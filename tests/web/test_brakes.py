"""Guessing is slowed, for whoever guesses and nobody else, and what is remembered of it is bounded."""

from __future__ import annotations

import asyncio

import pytest

from s3gate.s3.errors import S3Error
from s3gate.s3.request import Request
from s3gate.web.brakes import MINUTE, Brakes, Counts, site_of

WRONG = S3Error.of("SignatureDoesNotMatch", AWSAccessKeyId="AKID")


def of(address: str) -> Request:
    return Request.parse("GET", b"/", b"", [(b"host", b"h")], remote=address)


class Time:
    """A clock that moves when somebody sleeps, or when told to."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


def brakes(time: Time, per_minute: int = 10) -> Brakes:
    return Brakes(per_minute, 0.5, clock=time.clock, sleep=time.sleep)


async def test_failures_beyond_the_limit_wait() -> None:
    time = Time()
    one = brakes(time)
    for _ in range(10):
        assert await one.held(WRONG, of("1.2.3.4")) is WRONG
    assert time.slept == []
    assert await one.held(WRONG, of("1.2.3.4")) is WRONG
    assert time.slept == [0.5]
    assert (one.failed, one.slowed, one.waiting) == (11, 1, 0)


async def test_a_count_runs_out() -> None:
    time = Time()
    one = brakes(time)
    for _ in range(1000):
        await one.held(WRONG, of("1.2.3.4"))
    time.slept.clear()
    time.now += MINUTE
    await one.held(WRONG, of("1.2.3.4"))
    assert time.slept == [0.5], "a thousand failures are remembered as twice the limit"
    time.now += MINUTE
    await one.held(WRONG, of("1.2.3.4"))
    assert time.slept == [0.5]


async def test_addresses_and_keys_are_counted_apart() -> None:
    time = Time()
    one = brakes(time)
    for number in range(10):
        await one.held(WRONG, of(f"1.2.3.{number}"))
    await one.held(WRONG, of("9.9.9.9"))
    assert time.slept == [0.5], "the key, from anywhere"
    other = brakes(time)
    for number in range(11):
        await other.held(S3Error.of("InvalidAccessKeyId", AWSAccessKeyId=f"AK{number}"), of("1.2.3.4"))
    assert time.slept == [0.5, 0.5], "the address, with any key"
    await other.held(S3Error.of("InvalidAccessKeyId", AWSAccessKeyId="AK99"), of("5.6.7.8"))
    assert len(time.slept) == 2, "another address with another key has nothing to do with it"


@pytest.mark.parametrize("code", ["AccessDenied", "NoSuchKey", "ExpiredToken", "RequestTimeTooSkewed", "SlowDown"])
async def test_what_is_no_guess_is_not_counted(code: str) -> None:
    time = Time()
    one = brakes(time)
    for _ in range(100):
        await one.held(S3Error.of(code), of("1.2.3.4"))
    assert (one.failed, time.slept) == (0, [])


async def codes_of(tasks: list[asyncio.Task[S3Error]]) -> list[str]:
    """Of those that are answered already."""
    await asyncio.sleep(0.01)
    return sorted(task.result().code for task in tasks if task.done())


async def test_only_so_many_wait() -> None:
    held = asyncio.Event()

    async def sleep(_: float) -> None:
        await held.wait()

    one = Brakes(1, 0.5, most_waiting=5, most_waiting_of_one=3, clock=Time().clock, sleep=sleep)
    tasks = [asyncio.create_task(one.held(WRONG, of("1.2.3.4"))) for _ in range(6)]
    assert await codes_of(tasks) == ["SignatureDoesNotMatch", "SlowDown", "SlowDown"], "the first was below the limit"
    assert one.waiting == 3
    others = [asyncio.create_task(one.held(WRONG, of("5.6.7.8"))) for _ in range(3)]
    assert await codes_of(others) == ["SlowDown"]
    assert one.waiting == 5
    others[0].cancel()
    held.set()
    await asyncio.wait([*tasks, *others])
    assert one.waiting == 0


async def test_off() -> None:
    time = Time()
    one = brakes(time, per_minute=0)
    for _ in range(100):
        assert await one.held(WRONG, of("1.2.3.4")) is WRONG
    assert time.slept == []


def test_tables_are_bounded_and_keep_who_failed_last() -> None:
    counts = Counts(1, Time().clock, most=3)
    for name in ("a", "b", "c", "a", "d"):
        counts.add(name)
    assert len(counts) == 3
    assert counts.add("a"), "a failed after b, which was forgotten"
    assert not counts.add("b")


def test_what_counts_as_one_address() -> None:
    assert site_of("1.2.3.4") == "1.2.3.4"
    assert site_of("2001:db8:1:2:3::4") == site_of("2001:db8:1:2:ffff::1") == "2001:db8:1:2::/64"
    assert site_of("2001:db8:1:3::1") != site_of("2001:db8:1:2::1")
    assert site_of("::ffff:1.2.3.4") == "1.2.3.4"
    assert site_of("fe80::1%eth0") == "fe80::/64"
    assert site_of("") == ""
