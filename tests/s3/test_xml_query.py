"""Documents of the query protocol."""

from __future__ import annotations

from datetime import UTC, datetime

from s3gate.s3.xml_query import Entries, failure, result


def test_values_become_elements() -> None:
    value = {
        "Text": "a<&>b",
        "Flag": True,
        "When": datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC),
        "Nothing": None,
        "List": [{"Key": "k"}, "plain"],
        "Empty": [],
        "Map": Entries(One=1),
    }
    assert result("iam", "Get", value, "id-1").decode() == (
        '<GetResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><GetResult><Text>a&lt;&amp;&gt;b</Text>'
        "<Flag>true</Flag><When>2026-01-02T03:04:05Z</When><List><member><Key>k</Key></member><member>plain</member>"
        "</List><Empty></Empty><Map><entry><key>One</key><value>1</value></entry></Map></GetResult>"
        "<ResponseMetadata><RequestId>id-1</RequestId></ResponseMetadata></GetResponse>\n"
    )


def test_an_action_may_answer_nothing() -> None:
    assert b"Result" not in result("iam", "DeleteUser", None, "id-1")


def test_refusals() -> None:
    assert failure("sts", "Sender", "AccessDenied", "no <x>", "id-1").decode() == (
        '<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>'
        "<Code>AccessDenied</Code><Message>no &lt;x&gt;</Message></Error><RequestId>id-1</RequestId></ErrorResponse>\n"
    )
