"""Object lock: what headers and documents may ask for, and what AWS says to the rest."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from s3gate.s3 import lock, xml_lock
from s3gate.s3.errors import S3Error
from s3gate.s3.lock import DefaultRetention, Retention
from s3gate.s3.request import Headers

NOW = datetime(2026, 11, 23, 5, 6, 7, tzinfo=UTC)
LATER = "2027-01-01T00:00:00Z"


def asked(mode: str | None = None, until: str | None = None, hold: str | None = None) -> lock.Asked | None:
    sent = {lock.MODE: mode, lock.UNTIL: until, lock.HOLD: hold}
    raw = [(name.encode(), value.encode()) for name, value in sent.items() if value is not None]
    return lock.of_write(Headers(raw), NOW)


def test_headers() -> None:
    assert asked() is None
    until = datetime(2027, 1, 1, tzinfo=UTC)
    assert asked("GOVERNANCE", LATER) == lock.Asked(Retention("GOVERNANCE", until), None)
    assert asked("COMPLIANCE", LATER, "ON") == lock.Asked(Retention("COMPLIANCE", until), True)
    assert asked(hold="OFF") == lock.Asked(None, False)


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        (("GOVERNANCE", None), "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied"),
        ((None, LATER), "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied"),
        (("governance", LATER), "Unknown wormMode directive."),
        (("GOVERNANCE", "soon"), "The retain until date must be provided in ISO 8601 format"),
        (("GOVERNANCE", "2026-11-23T05:06:07Z"), "The retain until date must be in the future!"),
        ((None, None, "on"), "Legal Hold must be either of 'ON' or 'OFF'"),
    ],
)
def test_headers_that_are_refused(sent: tuple[str | None, ...], message: str) -> None:
    with pytest.raises(S3Error) as caught:
        asked(*sent)
    assert (caught.value.code, caught.value.message) == ("InvalidArgument", message)


def test_default_retention() -> None:
    assert DefaultRetention("GOVERNANCE", days=2).starting(NOW).until == NOW + timedelta(days=2)
    assert DefaultRetention("COMPLIANCE", years=2).starting(NOW).until == NOW + timedelta(days=730)


def configuration(inner: str, enabled: str = "<ObjectLockEnabled>Enabled</ObjectLockEnabled>") -> bytes:
    return f"<ObjectLockConfiguration>{enabled}{inner}</ObjectLockConfiguration>".encode()


def rule(inner: str) -> bytes:
    return configuration(f"<Rule><DefaultRetention>{inner}</DefaultRetention></Rule>")


@pytest.mark.parametrize(
    "wanted", [None, DefaultRetention("GOVERNANCE", days=1), DefaultRetention("COMPLIANCE", years=100)]
)
def test_configurations_come_back(wanted: DefaultRetention | None) -> None:
    document = xml_lock.configuration_document(wanted)
    assert xml_lock.lock_configuration(document) == wanted
    assert xml_lock.default_retention(document) == wanted


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (configuration("", ""), "MalformedXML"),
        (configuration("", "<ObjectLockEnabled>Disabled</ObjectLockEnabled>"), "MalformedXML"),
        (configuration("<Rule/>"), "MalformedXML"),
        (configuration("<X/>"), "MalformedXML"),
        (rule("<Mode>GOVERNANCE</Mode>"), "MalformedXML"),
        (rule("<Days>1</Days>"), "MalformedXML"),
        (rule("<Mode>abc</Mode><Days>1</Days>"), "MalformedXML"),
        (rule("<Mode>GOVERNANCE</Mode><Days>1</Days><Years>1</Years>"), "MalformedXML"),
        (rule("<Mode>GOVERNANCE</Mode><Days>x</Days>"), "MalformedXML"),
        (rule("<Mode>GOVERNANCE</Mode><Days>0</Days>"), "InvalidArgument"),
        (rule("<Mode>GOVERNANCE</Mode><Years>-1</Years>"), "InvalidArgument"),
        (rule("<Mode>GOVERNANCE</Mode><Days>36501</Days>"), "InvalidArgument"),
        (rule("<Mode>GOVERNANCE</Mode><Years>101</Years>"), "InvalidArgument"),
        (rule("<Mode>GOVERNANCE</Mode><DefaultEventHold/>"), "NotImplemented"),
        (b"", "MalformedXML"),
    ],
)
def test_configurations_that_are_refused(body: bytes, code: str) -> None:
    with pytest.raises(S3Error) as caught:
        xml_lock.lock_configuration(body)
    assert caught.value.code == code


def test_retention_documents() -> None:
    shown = Retention("GOVERNANCE", datetime(2027, 1, 1, tzinfo=UTC))
    document = xml_lock.retention_document(shown)
    assert xml_lock.retention(document) == shown
    assert b"<RetainUntilDate>2027-01-01T00:00:00.000Z</RetainUntilDate>" in document
    assert xml_lock.retention(b"<Retention/>") is None


@pytest.mark.parametrize(
    "inner",
    [
        "<Mode>GOVERNANCE</Mode>",
        f"<RetainUntilDate>{LATER}</RetainUntilDate>",
        f"<Mode>abc</Mode><RetainUntilDate>{LATER}</RetainUntilDate>",
        "<Mode>GOVERNANCE</Mode><RetainUntilDate>soon</RetainUntilDate>",
        "<X/>",
    ],
)
def test_retentions_that_are_malformed(inner: str) -> None:
    with pytest.raises(S3Error, match="MalformedXML"):
        xml_lock.retention(f"<Retention>{inner}</Retention>".encode())


def test_legal_hold_documents() -> None:
    for hold in (True, False):
        assert xml_lock.legal_hold(xml_lock.legal_hold_document(hold)) is hold
    for body in (b"<LegalHold/>", b"<LegalHold><Status>abc</Status></LegalHold>", b"<X/>"):
        with pytest.raises(S3Error, match="MalformedXML"):
            xml_lock.legal_hold(body)
