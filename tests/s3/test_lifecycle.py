"""Lifecycle: the document as S3 judges it, and when its rules speak."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from s3gate.s3 import lifecycle, xml_lifecycle
from s3gate.s3.errors import S3Error
from s3gate.s3.lifecycle import DAY_SECONDS, Judge, covering, due, due_before
from s3gate.s3.request import Headers
from s3gate.s3.storage_class import label_of, may_become, relabelled

BORN = datetime(2026, 1, 15, 10, 30, tzinfo=UTC)
ENDS = "<Expiration><Days>3</Days></Expiration>"
ALL = "<Filter/>"
NOBODY = Headers([])


def rule(scope: str = ALL, actions: str = ENDS, status: str = "Enabled", name: str = "<ID>r</ID>") -> str:
    return f"<Rule>{name}{scope}<Status>{status}</Status>{actions}</Rule>"


def document(*rules: str) -> bytes:
    return f"<LifecycleConfiguration>{''.join(rules)}</LifecycleConfiguration>".encode()


def rules(*texts: str) -> tuple[lifecycle.Rule, ...]:
    return lifecycle.rules(xml_lifecycle.canonical(document(*texts)))


def refusal(*texts: str) -> S3Error:
    with pytest.raises(S3Error) as caught:
        xml_lifecycle.canonical(document(*texts))
    return caught.value


def tag(key: str, value: str) -> str:
    return f"<Tag><Key>{key}</Key><Value>{value}</Value></Tag>"


def test_what_is_kept_is_what_is_answered_and_stays_the_same_when_put_again():
    old = "<Rule><Prefix>logs/</Prefix><Status>Disabled</Status><Expiration><Date>2030-01-01</Date></Expiration></Rule>"
    kept = xml_lifecycle.canonical(document(old))
    assert b"<Prefix>logs/</Prefix>" in kept
    assert b"<Date>2030-01-01T00:00:00.000Z</Date>" in kept
    assert kept == xml_lifecycle.canonical(kept)
    assert b"<ID></ID>" not in kept and b"<ID>" in kept
    assert kept == xml_lifecycle.canonical(document(old.replace("<Rule>", "<Rule><ID/>")))


def test_rules_without_ids_get_different_ones():
    kept = xml_lifecycle.canonical(document(rule(name=""), rule(name="")))
    assert len({node.value("ID") for node in xml_lifecycle.rule_nodes(kept)}) == 2


@pytest.mark.parametrize(
    "scope",
    [
        ALL,
        "<Filter><Prefix/></Filter>",
        "<Filter><Prefix>a b/</Prefix></Filter>",
        f"<Filter>{tag('k', '')}</Filter>",
        "<Filter><ObjectSizeGreaterThan>0</ObjectSizeGreaterThan></Filter>",
        "<Filter><Prefix></Prefix><ObjectSizeLessThan>9999999999999</ObjectSizeLessThan></Filter>",
        f"<Filter><And><Prefix/>{tag('k', 'v')}</And></Filter>",
        f"<Filter><And>{tag('k', 'v')}{tag('l', 'v')}<ObjectSizeGreaterThan>5</ObjectSizeGreaterThan></And></Filter>",
        "<Prefix/>",
    ],
)
def test_scopes(scope):
    kept = xml_lifecycle.canonical(document(rule(scope)))
    assert kept == xml_lifecycle.canonical(kept)


@pytest.mark.parametrize(
    "actions",
    [
        "<Expiration><Days>1</Days></Expiration>",
        "<Expiration><Date>2026-02-03T00:00:00Z</Date></Expiration>",
        "<Expiration><Date>2026-02-03T01:00:00+01:00</Date></Expiration>",
        "<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>",
        "<Expiration><Days>1</Days><ExpiredObjectDeleteMarker>false</ExpiredObjectDeleteMarker></Expiration>",
        "<NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays></NoncurrentVersionExpiration>",
        "<AbortIncompleteMultipartUpload><DaysAfterInitiation>7</DaysAfterInitiation></AbortIncompleteMultipartUpload>",
    ],
)
def test_actions(actions):
    assert rules(rule(actions=actions))


MARKERS = "<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>"
ABORT = "<AbortIncompleteMultipartUpload><DaysAfterInitiation>1</DaysAfterInitiation></AbortIncompleteMultipartUpload>"
SMALL = "<Filter><ObjectSizeLessThan>5</ObjectSizeLessThan></Filter>"
NEWER = "<NoncurrentDays>1</NoncurrentDays><NewerNoncurrentVersions>{}</NewerNoncurrentVersions>"


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        (rule(""), "MalformedXML", ""),
        (rule(ALL + "<Prefix/>"), "MalformedXML", ""),
        (rule(status="enabled"), "MalformedXML", ""),
        (rule(f"<Filter><Prefix>a</Prefix>{tag('k', 'v')}</Filter>"), "MalformedXML", ""),
        (rule("<Filter><And><Prefix>a</Prefix></And></Filter>"), "MalformedXML", ""),
        (rule(f"<Filter><And>{tag('k', '1')}{tag('k', '2')}</And></Filter>"), "InvalidRequest", "Duplicate Tag Keys"),
        (rule(f"<Filter>{tag('', '1')}</Filter>"), "InvalidTag", "TagKey"),
        (rule(f"<Filter><Prefix>{'a' * 1025}</Prefix></Filter>"), "InvalidRequest", "1024"),
        (rule(SMALL.replace("5", "0")), "InvalidRequest", "'ObjectSizeLessThan'"),
        (rule(SMALL.replace("5", "x")), "MalformedXML", ""),
        (rule(actions=""), "InvalidRequest", "At least one action needs to be specified in a rule"),
        (rule(actions="<Expiration/>"), "MalformedXML", ""),
        (rule(actions="<Expiration><Days>0</Days></Expiration>"), "InvalidArgument", "'Days' for Expiration action"),
        (rule(actions="<Expiration><Days>-1</Days></Expiration>"), "InvalidArgument", "must be a positive integer"),
        (rule(actions="<Expiration><Days>x</Days></Expiration>"), "MalformedXML", ""),
        (rule(actions="<Expiration><Days>2147483648</Days></Expiration>"), "MalformedXML", ""),
        (rule(actions="<Expiration><Days>1</Days><Date>2030-01-01</Date></Expiration>"), "MalformedXML", ""),
        (rule(actions="<Expiration><Date>2030-01-01T01:00:00Z</Date></Expiration>"), "InvalidArgument", "midnight GMT"),
        (rule(actions="<Expiration><Date>20300101</Date></Expiration>"), "MalformedXML", ""),
        (rule(actions="<Expiration><Date>0001-01-01T00:00:00+01:00</Date></Expiration>"), "MalformedXML", ""),
        (rule(actions=MARKERS.replace("<Expired", "<Days>1</Days><Expired")), "MalformedXML", ""),
        (rule(f"<Filter>{tag('k', 'v')}</Filter>", MARKERS), "InvalidRequest", "ExpiredObjectDeleteMarker"),
        (rule(SMALL, MARKERS), "MalformedXML", ""),
        (rule(f"<Filter>{tag('k', 'v')}</Filter>", ABORT), "InvalidRequest", "cannot be specified with Tags"),
        (rule(SMALL, ABORT), "InvalidRequest", "cannot be specified with Object Size"),
        (rule(actions=ABORT.replace("1", "0")), "InvalidArgument", "'DaysAfterInitiation'"),
        (
            rule(actions=f"<NoncurrentVersionExpiration>{NEWER.format(0)}</NoncurrentVersionExpiration>"),
            "InvalidArgument",
            "'NewerNoncurrentVersions'",
        ),
        (
            rule(actions=f"<NoncurrentVersionExpiration>{NEWER.format(101)}</NoncurrentVersionExpiration>"),
            "InvalidArgument",
            "at most 100",
        ),
        (
            rule(actions="<Transition><Days>1</Days><StorageClass>GLACIER</StorageClass></Transition>"),
            "NotImplemented",
            "Transition to GLACIER",
        ),
        (
            rule(actions="<Transition><Days>1</Days><StorageClass>PAPER</StorageClass></Transition>"),
            "MalformedXML",
            "",
        ),
        (rule(name=f"<ID>{'a' * 256}</ID>"), "InvalidArgument", "ID length should not exceed allowed limit of 255"),
        (rule() + rule(), "InvalidArgument", "Rule ID must be unique"),
        (rule() + rule("<Prefix/>", name=""), "InvalidRequest", "Lifecycle V2"),
        (rule() + "text", "MalformedXML", ""),
        (rule(name="") * 1001, "InvalidRequest", "1000 rules"),
        ("", "MalformedXML", ""),
    ],
)
def test_refusals(text, code, message):
    error = refusal(text)
    assert error.code == code
    assert message in error.message


TO_GLACIER = "<Transition><Days>{}</Days><StorageClass>GLACIER</StorageClass></Transition>"


@pytest.mark.parametrize(
    ("actions", "code"),
    [
        (TO_GLACIER.format(0), None),
        (TO_GLACIER.format(-1), "InvalidArgument"),
        (TO_GLACIER.format(1).replace("<Days>1</Days>", ""), "MalformedXML"),
        (TO_GLACIER.format(1).replace("<Days>1</Days>", "<Date>2030-01-01T01:00:00Z</Date>"), "InvalidArgument"),
        (TO_GLACIER.format(3) + ENDS, "InvalidArgument"),
        (TO_GLACIER.format(2) + ENDS, None),
        (TO_GLACIER.format(1) + TO_GLACIER.format(2), "InvalidRequest"),
        (TO_GLACIER.format(1) + "<Expiration><Date>2030-01-01</Date></Expiration>", "InvalidRequest"),
        (TO_GLACIER.format(1).replace("GLACIER", "DEEP_ARCHIVE"), "NotImplemented"),
        (TO_GLACIER.format(1).replace("GLACIER", "PAPER"), "MalformedXML"),
        (TO_GLACIER.format(1).replace("Transition", "NoncurrentVersionTransition"), "MalformedXML"),
    ],
)
def test_transitions_where_a_class_is_there(actions, code):
    data = document(rule(actions=actions))
    if code is None:
        kept = xml_lifecycle.canonical(data, ("GLACIER",))
        assert kept == xml_lifecycle.canonical(kept, ("GLACIER",))
        return
    with pytest.raises(S3Error) as caught:
        xml_lifecycle.canonical(data, ("GLACIER",))
    assert caught.value.code == code


def test_objects_only_become_colder():
    assert may_become("STANDARD", "GLACIER") and may_become("GLACIER", "DEEP_ARCHIVE")
    assert not may_become("GLACIER", "STANDARD_IA") and not may_become("GLACIER", "GLACIER")
    assert may_become("COLD", "GLACIER") and not may_become("COLD", "COLD")
    labelled = relabelled(b"content-type\0a/b", "COLD")
    assert label_of(labelled) == "COLD" and relabelled(labelled, "STANDARD") == b"content-type\0a/b"


def test_a_thousand_rules_are_allowed():
    assert len(rules(rule(name="") * 1000)) == 1000


def test_the_smallest_size_for_transitions_is_kept_beside_the_document():
    plain = xml_lifecycle.canonical(document(rule()))
    assert xml_lifecycle.sealed(plain, NOBODY) == plain
    name = b"x-amz-transition-default-minimum-object-size"
    assert xml_lifecycle.opened(plain) == (plain, [(name, b"all_storage_classes_128K")])
    kept = xml_lifecycle.sealed(plain, Headers([(name, b"varies_by_storage_class")]))
    assert xml_lifecycle.opened(kept) == (plain, [(name, b"varies_by_storage_class")])
    assert lifecycle.rules(kept) == lifecycle.rules(plain)
    with pytest.raises(S3Error) as caught:
        xml_lifecycle.sealed(plain, Headers([(name, b"none")]))
    assert caught.value.code == "InvalidArgument"


def test_days_end_at_the_next_midnight():
    assert due(BORN, 3, DAY_SECONDS) == datetime(2026, 1, 19, tzinfo=UTC)
    assert due(datetime(2026, 1, 15, tzinfo=UTC), 3, DAY_SECONDS) == datetime(2026, 1, 18, tzinfo=UTC)
    assert due(BORN, 3, 10.0) == BORN + timedelta(seconds=30)
    assert due(BORN, 2_147_483_647, DAY_SECONDS) == lifecycle.NEVER


@pytest.mark.parametrize("seconds", [0, 1, 43_200, 86_399, 86_400])
@pytest.mark.parametrize("day_seconds", [DAY_SECONDS, 10.0])
def test_what_began_before_is_due(seconds, day_seconds):
    midnight = datetime(2026, 1, 15, tzinfo=UTC)
    now = midnight + timedelta(seconds=seconds)
    before = due_before(3, now, day_seconds)
    assert due(before - timedelta.resolution, 3, day_seconds) <= now < due(before, 3, day_seconds)
    assert due_before(2_147_483_647, now, day_seconds) <= midnight


def test_which_objects_a_rule_speaks_of():
    both = f"<Filter><And><Prefix>a/</Prefix>{tag('k', 'v w')}{tag('l', '')}</And></Filter>"
    (found,) = rules(rule(both))
    assert found.matches(b"a/1", 0, b"l=&k=v+w&m=1")
    assert not found.matches(b"a/1", 0, b"k=v+w")
    assert not found.matches(b"a/1", 0, b"")
    assert not found.matches(b"b/1", 0, b"l=&k=v+w")
    assert not found.matches_marker(b"a/1")
    (sized,) = rules(
        rule(
            "<Filter><And><ObjectSizeGreaterThan>0</ObjectSizeGreaterThan>"
            "<ObjectSizeLessThan>10</ObjectSizeLessThan></And></Filter>"
        )
    )
    assert [size for size in (0, 1, 9, 10) if sized.matches(b"k", size, b"")] == [1, 9]
    assert not sized.matches_marker(b"k")
    assert not rules(rule(status="Disabled"))


def test_the_first_rule_to_end_an_object_is_told_in_a_header():
    later = rule(actions="<Expiration><Days>9</Days></Expiration>", name="<ID>later</ID>")
    dated = rule("<Filter><Prefix>x</Prefix></Filter>", "<Expiration><Date>2026-01-16</Date></Expiration>")
    kept = xml_lifecycle.canonical(document(later, rule(name="<ID>the first, of two</ID>"), dated))

    def header(key: bytes) -> bytes | None:
        return lifecycle.expiration_header(kept, key, 1, b"", BORN, DAY_SECONDS)

    assert header(b"k") == b'expiry-date="Mon, 19 Jan 2026 00:00:00 GMT", rule-id="the%20first%2C%20of%20two"'
    assert header(b"x") == b'expiry-date="Fri, 16 Jan 2026 00:00:00 GMT", rule-id="r"'
    assert lifecycle.expiration_header(None, b"k", 1, b"", BORN, DAY_SECONDS) is None
    only = xml_lifecycle.canonical(document(rule(actions=ABORT)))
    assert lifecycle.expiration_header(only, b"k", 1, b"", BORN, DAY_SECONDS) is None


def test_when_an_upload_will_be_aborted_is_told_in_two_headers():
    kept = xml_lifecycle.canonical(document(rule("<Filter><Prefix>a</Prefix></Filter>", ABORT)))
    assert lifecycle.abort_headers(kept, b"a1", BORN, DAY_SECONDS) == [
        (b"x-amz-abort-date", b"Sat, 17 Jan 2026 00:00:00 GMT"),
        (b"x-amz-abort-rule-id", b"r"),
    ]
    assert lifecycle.abort_headers(kept, b"b1", BORN, DAY_SECONDS) == []
    assert lifecycle.abort_headers(None, b"a1", BORN, DAY_SECONDS) == []


def test_older_versions_end_by_age_and_by_how_many_are_newer():
    action = f"<NoncurrentVersionExpiration>{NEWER.format(2)}</NoncurrentVersionExpiration>"
    found = rules(rule(actions=action))
    now = datetime(2026, 1, 17, tzinfo=UTC)

    def ends(rank: int, now: datetime, size: int | None = 5) -> bool:
        return Judge(found, now, DAY_SECONDS).ends_noncurrent(b"k", size, b"", BORN, rank)

    assert [rank for rank in (1, 2, 3, 4) if ends(rank, now)] == [3, 4]
    assert ends(3, now, size=None)
    assert not ends(3, now - timedelta.resolution)
    only_large = rules(rule("<Filter><ObjectSizeGreaterThan>9</ObjectSizeGreaterThan></Filter>", action))
    assert not Judge(only_large, now, DAY_SECONDS).ends_noncurrent(b"k", 9, b"", BORN, 3)
    assert not Judge(only_large, now, DAY_SECONDS).ends_noncurrent(b"k", None, b"", BORN, 3)


def test_lone_markers_end_by_their_own_rule_or_by_age():
    now = datetime(2026, 1, 19, tzinfo=UTC)
    assert Judge(rules(rule(actions=MARKERS)), BORN, DAY_SECONDS).ends_marker(b"k", BORN)
    aged = rules(rule())
    assert Judge(aged, now, DAY_SECONDS).ends_marker(b"k", BORN)
    assert not Judge(aged, now - timedelta.resolution, DAY_SECONDS).ends_marker(b"k", BORN)
    tagged = rules(rule(f"<Filter>{tag('k', 'v')}</Filter>"))
    assert not Judge(tagged, now, DAY_SECONDS).ends_marker(b"k", BORN)


def test_covering():
    assert covering([b"b", b"ab", b"a", b"abc", b"b"]) == [b"a", b"b"]
    assert covering([b"a", b""]) == [b""]
    assert covering([]) == []
