"""POST policies and the fields of a form: what is let in, what is refused and with which words."""

from __future__ import annotations

import hmac
import json
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from s3gate.s3 import post_form, post_policy
from s3gate.s3.canonical import signing_key_of
from s3gate.s3.credentials import Credential
from s3gate.s3.errors import S3Error

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
LATER = "2026-11-23T09:00:00.000Z"
KEYS = {"AKID": Credential("AKID", "secret"), "TEMP": Credential("TEMP", "other", "token")}


def encoded(document: Any) -> str:
    text = document if isinstance(document, str) else json.dumps(document)
    return b64encode(text.encode()).decode()


def policy(*conditions: Any, expiration: str = LATER) -> str:
    return encoded({"expiration": expiration, "conditions": list(conditions)})


def check(*conditions: Any, now: datetime = NOW, **fields: str) -> None:
    named = {name.replace("_", "-"): value for name, value in fields.items()}  # none of these has an underscore
    post_policy.parse(policy({"bucket": "box"}, *conditions)).check(named, "box", now)


def refused(call: Any, *args: Any, **kwargs: Any) -> S3Error:
    with pytest.raises(S3Error) as caught:
        call(*args, **kwargs)
    return caught.value


def test_a_form_that_keeps_to_its_policy() -> None:
    fields = {
        "acl": "private",
        "content-type": "image/png",
        "key": "user/me.png",
        "x-amz-meta-tag": "",
        "success_action_status": "201",
        "x-amz-signature": "not named",
        "policy": "not named",
        "x-ignore-me": "not named",
    }
    read = post_policy.parse(
        policy(
            {"bucket": "box"},
            {"acl": "private"},
            ["eq", "$Content-Type", "image/png"],
            ["Starts-With", "$KEY", "user/"],
            ["starts-with", "$x-amz-meta-tag", ""],
            {"Success_Action_Status": "201"},
        )
    )
    read.check(fields, "box", NOW)


@pytest.mark.parametrize(
    ("condition", "fields", "shown"),
    [
        (["eq", "$key", "a"], {"key": "b"}, '["eq", "$key", "a"]'),
        ({"acl": "public-read"}, {"acl": "private"}, '["eq", "$acl", "public-read"]'),
        (["starts-with", "$key", "user/"], {"key": "other/x"}, '["starts-with", "$key", "user/"]'),
        (["starts-with", "$Content-Type", ""], {}, '["starts-with", "$Content-Type", ""]'),
        (["eq", "key", "a"], {"key": "a"}, '["eq", "key", "a"]'),
        (["ends-with", "$key", "a"], {"key": "a"}, '["ends-with", "$key", "a"]'),
        (["eq", "$key"], {"key": "a"}, '["eq", "$key"]'),
        (["starts-with", "$content-type", "image/"], {"content_type": "image/png, text/html"}, None),
    ],
)
def test_a_condition_that_fails_is_quoted(condition: Any, fields: dict[str, str], shown: str | None) -> None:
    error = refused(check, condition, **fields)
    assert (error.code, error.status) == ("AccessDenied", 403)
    wanted = shown or json.dumps(condition)
    assert error.message == f"Invalid according to Policy: Policy Condition failed: {wanted}"


def test_each_of_several_types_has_to_fit() -> None:
    check(["starts-with", "$Content-Type", "image/"], content_type="image/png, image/gif")


def test_fields_that_no_condition_names_are_extra() -> None:
    error = refused(check, {"key": "a"}, key="a", acl="private", x_amz_meta_a="1")
    assert error.message == "Invalid according to Policy: Extra input fields: acl, x-amz-meta-a"
    read = post_policy.parse(policy({"key": "a"}))
    assert refused(read.check, {"key": "a"}, "box", NOW).message.endswith("Extra input fields: bucket")
    assert "Condition failed" in refused(check, {"key": "a"}, {"bucket": "other"}, key="a").message


def test_a_policy_expires() -> None:
    assert refused(check, now=NOW + timedelta(hours=1)).message == "Invalid according to Policy: Policy expired."
    check(now=NOW + timedelta(minutes=59))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("§§§", "Invalid Base64 encoding."),
        (encoded("{"), "Invalid JSON."),
        (encoded("[" * 5000), "Invalid JSON."),
        (encoded("[]"), "Invalid JSON."),
        (encoded({"conditions": []}), "Policy missing expiration."),
        (encoded({"expiration": LATER}), "Policy missing conditions."),
        (encoded({"EXPIRATION": LATER, "conditions": []}), "Policy missing expiration."),
        (encoded({"expiration": LATER, "conditions": [], "Version": "1"}), "Unexpected: 'Version'."),
        (policy(expiration="tomorrow"), "Invalid 'expiration' value: 'tomorrow'"),
        (policy(expiration="2026-13-01T00:00:00Z"), "Invalid 'expiration' value: '2026-13-01T00:00:00Z'"),
        (encoded({"expiration": 5, "conditions": []}), "Invalid 'expiration' value: '5'"),
        (policy({}), "Invalid Simple-Condition: Simple-Conditions must have exactly one property specified."),
        (policy({"acl": 1}), "Invalid Simple-Condition: Value Must Be A String"),
        (policy("key"), "Invalid Condition: must be a List or an Object."),
        (policy(["content-length-range", 1]), "Invalid content-length-range"),
        (policy(["content-length-range", -1, 5]), "Invalid content-length-range"),
        (policy(["content-length-range", 6, 5]), "Invalid content-length-range"),
        (policy(["content-length-range", "a", "b"]), "Invalid content-length-range"),
    ],
)
def test_what_is_no_policy(text: str, message: str) -> None:
    error = refused(post_policy.parse, text)
    assert (error.code, error.status) == ("InvalidPolicyDocument", 400)
    assert error.message.startswith(f"Invalid Policy: {message}")


def test_the_length_of_the_file() -> None:
    read = post_policy.parse(policy(["Content-Length-Range", 3, "10"], ["content-length-range", 0, 8]))
    read.check_length(2, complete=False)
    for size in (3, 8):
        read.check_length(size, complete=True)
    small = refused(read.check_length, 2, complete=True)
    assert (small.code, small.extra) == ("EntityTooSmall", {"ProposedSize": "2", "MinSizeAllowed": "3"})
    large = refused(read.check_length, 9, complete=False)
    assert (large.code, large.extra) == ("EntityTooLarge", {"ProposedSize": "9", "MaxSizeAllowed": "8"})


def test_escapes_that_json_does_not_know() -> None:
    text = f'{{"expiration": "{LATER}", "conditions": [["eq", "$key", "a\\$b\\\\\\"\\u00fc\\v"]]}}'
    (match,) = post_policy.parse(encoded(text)).matches
    assert match.value == 'a$b\\"ü\v'


# --- fields


def test_the_name_of_the_file_is_put_in() -> None:
    sent = [("Key", "u/${filename}"), ("x-amz-meta-Name", "${filename}"), ("acl", "private"), ("submit", "x")]
    fields = post_form.read_fields(sent, "a b.txt")
    assert post_form.key_of(fields) == b"u/a b.txt"
    assert dict(post_form.headers_of(fields)) == {b"x-amz-meta-name": b"a b.txt", b"x-amz-acl": b"private"}
    assert refused(post_form.read_fields, [("key", "a"), ("KEY", "b")], "").code == "InvalidArgument"


def test_a_form_names_its_key() -> None:
    error = refused(post_form.key_of, {})
    assert error.message.startswith("Bucket POST must contain a field named 'key'.  If it is specified")
    assert (error.code, error.extra["ArgumentName"]) == ("InvalidArgument", "key")
    assert refused(post_form.key_of, {"key": ""}).message == "User key must have a length greater than 0."


V4 = {
    "policy": policy(),
    "x-amz-algorithm": "AWS4-HMAC-SHA256",
    "x-amz-credential": "AKID/20261123/us-east-1/s3/aws4_request",
    "x-amz-date": "20261123T080000Z",
}


def signed_v4(secret: str = "secret", **changes: str) -> dict[str, str]:
    fields = {**V4, **{name.replace("_", "-"): value for name, value in changes.items()}}
    key = signing_key_of(secret, "20261123", "us-east-1", "s3")
    return {"x-amz-signature": hmac.digest(key, fields["policy"].encode(), "sha256").hex(), **fields}


def signed_v2(access_key: str = "AKID", secret: str = "secret", **changes: str) -> dict[str, str]:
    signature = b64encode(hmac.digest(secret.encode(), V4["policy"].encode(), "sha1")).decode()
    return {"awsaccesskeyid": access_key, "policy": V4["policy"], "signature": signature, **changes}


def who(fields: dict[str, str], **options: Any) -> str:
    return post_form.authenticate(fields, KEYS.get, "us-east-1", **options).access_key


def test_both_signatures_are_known() -> None:
    assert who(signed_v4()) == who(signed_v2()) == "AKID"
    assert who({"key": "a"}) == ""
    token = {"x-amz-security-token": "token"}
    assert who({**signed_v2("TEMP", "other"), **token}) == "TEMP"
    changed = signed_v4("other", x_amz_credential="TEMP/20261123/us-east-1/s3/aws4_request")
    assert who({**changed, **token}) == "TEMP"
    assert refused(who, changed).code == "InvalidAccessKeyId"


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        (signed_v4("wrong"), "SignatureDoesNotMatch"),
        ({**signed_v4(), "policy": policy({"key": "other"})}, "SignatureDoesNotMatch"),
        ({**signed_v4(), "x-amz-date": "20261124T080000Z"}, "InvalidArgument"),
        ({**signed_v4(), "x-amz-date": "today"}, "InvalidArgument"),
        ({**signed_v4(), "x-amz-algorithm": "HMAC"}, "InvalidArgument"),
        ({**signed_v4(), "x-amz-credential": "AKID"}, "InvalidArgument"),
        (signed_v4(x_amz_credential="NOBODY/20261123/us-east-1/s3/aws4_request"), "InvalidAccessKeyId"),
        (signed_v2(secret="wrong"), "SignatureDoesNotMatch"),
        (signed_v2("NOBODY"), "InvalidAccessKeyId"),
        ({**signed_v2(), "signature": "ü"}, "SignatureDoesNotMatch"),
        ({"policy": policy()}, "InvalidArgument"),
        ({"awsaccesskeyid": "AKID", "signature": "x"}, "InvalidArgument"),
        ({"x-amz-signature": "x"}, "InvalidArgument"),
    ],
)
def test_signatures_that_do_not_hold(fields: dict[str, str], code: str) -> None:
    assert refused(who, fields).code == code


def test_the_region_of_another_place_is_named() -> None:
    fields = signed_v4(x_amz_credential="AKID/20261123/eu-west-1/s3/aws4_request")
    error = refused(who, fields)
    assert error.message == "the region 'eu-west-1' is wrong; expecting 'us-east-1'"
    assert error.extra["ArgumentName"] == "X-Amz-Credential" and error.extra["Region"] == "us-east-1"
    assert refused(who, signed_v2(), sigv2_enabled=False).code == "InvalidRequest"


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({}, None),
        ({"success_action_redirect": "not a url"}, None),
        ({"success_action_redirect": "javascript://x/%0aalert(1)"}, None),
        ({"success_action_redirect": "http://a/\r\nSet-Cookie: x"}, None),
        ({"success_action_redirect": "http://[broken/"}, None),
        ({"success_action_redirect": "http://a.com/done"}, "http://a.com/done?bucket=box&key=u%2Fa%20b&etag=%22e1%22"),
        ({"redirect": "https://a.com/?x=1#f"}, "https://a.com/?x=1&bucket=box&key=u%2Fa%20b&etag=%22e1%22#f"),
    ],
)
def test_where_the_browser_is_sent(fields: dict[str, str], where: str | None) -> None:
    found = post_form.redirect_of(fields, "box", b"u/a b", "e1")
    assert found == (None if where is None else where.encode())


@pytest.mark.parametrize(("text", "status"), [("200", 200), ("201", 201), ("204", 204), ("302", 204), ("", 204)])
def test_the_status_of_success(text: str, status: int) -> None:
    assert post_form.success_status({"success_action_status": text}) == status
    assert post_form.success_status({}) == 204
