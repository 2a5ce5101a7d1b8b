"""Cross-origin rules: the configuration, preflights, and what answers carry."""

from __future__ import annotations

import pytest

from s3gate.s3 import cors, xml_cors
from s3gate.s3.cors import CorsRule
from s3gate.s3.errors import S3Error
from s3gate.s3.request import Headers
from s3gate.s3.xml_out import NAMESPACE

RULES = (
    CorsRule(("GET",), ("https://*.example.com", "http://localhost:*"), (), ("ETag", "x-amz-version-id"), 300),
    CorsRule(("PUT", "POST"), ("https://app.example.com",), ("content-type", "x-amz-meta-*")),
    CorsRule(("GET", "HEAD"), ("*",), ("*",)),
)


def ask(**given: str) -> Headers:
    return Headers([(name.replace("_", "-").encode(), value.encode()) for name, value in given.items()])


def preflight(origin: str, method: str, requested: str = "") -> dict[str, str]:
    headers = ask(origin=origin, access_control_request_method=method, access_control_request_headers=requested)
    return texts(cors.preflight(RULES, headers, "OBJECT"))


def texts(pairs: list[tuple[bytes, bytes]]) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in pairs}


def document(*rules: str) -> bytes:
    inner = "".join(f"<CORSRule>{rule}</CORSRule>" for rule in rules)
    return f'<CORSConfiguration xmlns="{NAMESPACE}">{inner}</CORSConfiguration>'.encode()


ORIGIN, METHOD = "<AllowedOrigin>*</AllowedOrigin>", "<AllowedMethod>GET</AllowedMethod>"


def test_the_first_rule_that_fits_is_told() -> None:
    assert preflight("https://a.example.com", "GET") == {
        "access-control-allow-origin": "https://a.example.com",
        "access-control-allow-methods": "GET",
        "access-control-expose-headers": "ETag, x-amz-version-id",
        "access-control-max-age": "300",
        "access-control-allow-credentials": "true",
        "vary": "Origin, Access-Control-Request-Headers, Access-Control-Request-Method",
    }
    found = preflight("https://app.example.com", "PUT", "Content-Type, X-Amz-Meta-Color")
    assert found["access-control-allow-methods"] == "PUT, POST"
    assert found["access-control-allow-headers"] == "content-type, x-amz-meta-color"


def test_everybody_is_a_star_and_brings_no_credentials() -> None:
    found = preflight("https://elsewhere.org", "HEAD", "x-anything")
    assert found["access-control-allow-origin"] == "*" and "access-control-allow-credentials" not in found
    # The first rule would fit but for the header: the third does.
    assert preflight("https://a.example.com", "GET", "x-anything")["access-control-allow-origin"] == "*"


@pytest.mark.parametrize(
    ("origin", "method", "requested"),
    [
        ("https://elsewhere.org", "PUT", ""),
        ("https://app.example.com", "DELETE", ""),
        ("https://app.example.com", "PUT", "content-type, x-other"),
        ("https://app.example.com.evil.org", "PUT", ""),
        ("https://a.org", "GET", ", ".join(f"x-{number}" for number in range(101))),
        ("HTTPS://APP.EXAMPLE.COM", "PUT", ""),
    ],
)
def test_what_no_rule_allows_is_forbidden(origin: str, method: str, requested: str) -> None:
    with pytest.raises(S3Error, match="AccessForbidden: CORSResponse: This CORS request is not allowed") as refused:
        preflight(origin, method, requested)
    assert refused.value.status == 403
    assert refused.value.extra == {"Method": method, "ResourceType": "OBJECT"}


def test_a_wildcard_does_not_overlap_itself() -> None:
    rules = [CorsRule(("GET",), ("start*tend",))]
    headers = ask(origin="startend", access_control_request_method="GET")
    assert cors.actual(rules, headers, "GET") == []
    assert cors.actual(rules, ask(origin="start-tend"), "GET")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"access_control_request_method": "GET"}, "Insufficient information. Origin request header needed."),
        ({"origin": "https://a"}, "Invalid Access-Control-Request-Method: null"),
        ({"origin": "https://a", "access_control_request_method": "get"}, "Invalid Access-Control-Request-Method: get"),
        ({"origin": "a", "access_control_request_method": "PATCH"}, "Invalid Access-Control-Request-Method: PATCH"),
    ],
)
def test_a_preflight_says_who_and_what(given: dict[str, str], message: str) -> None:
    with pytest.raises(S3Error) as refused:
        cors.preflight(RULES, ask(**given), "BUCKET")
    assert (refused.value.code, refused.value.status, refused.value.message) == ("BadRequest", 400, message)


def test_without_a_configuration_nothing_is_allowed() -> None:
    headers = ask(origin="https://a", access_control_request_method="PUT")
    with pytest.raises(S3Error) as refused:
        cors.preflight((), headers, "BUCKET")
    assert refused.value.message == "CORSResponse: CORS is not enabled for this bucket."
    assert refused.value.extra == {"Method": "PUT", "ResourceType": "BUCKET"}


def test_answers_are_judged_by_the_method_that_was_used() -> None:
    assert texts(cors.actual(RULES, ask(origin="https://a.example.com"), "GET"))["access-control-max-age"] == "300"
    assert cors.actual(RULES, ask(origin="https://a.example.com"), "DELETE") == []


def test_a_configuration_comes_back_as_it_was_meant() -> None:
    sent = document(
        "<ID>one</ID><AllowedOrigin>http://*.example.com</AllowedOrigin><AllowedMethod>PUT</AllowedMethod>"
        "<AllowedMethod>GET</AllowedMethod><AllowedHeader>X-Amz-*</AllowedHeader><MaxAgeSeconds>3000</MaxAgeSeconds>"
        "<ExposeHeader>ETag</ExposeHeader>",
        METHOD + ORIGIN,
    )
    kept = xml_cors.canonical(sent)
    assert xml_cors.rules(kept) == (
        CorsRule(("PUT", "GET"), ("http://*.example.com",), ("x-amz-*",), ("ETag",), 3000),
        CorsRule(("GET",), ("*",)),
    )
    assert xml_cors.canonical(kept) == kept and b"<ID>one</ID>" in kept
    assert xml_cors.canonical(sent.replace(f' xmlns="{NAMESPACE}"'.encode(), b"")) == kept


@pytest.mark.parametrize(
    "rules",
    [
        (),
        (METHOD,),
        (ORIGIN,),
        (METHOD + ORIGIN + "<Other/>",),
        (METHOD + ORIGIN + "<MaxAgeSeconds>-1</MaxAgeSeconds>",),
        (METHOD + ORIGIN + "<MaxAgeSeconds>x</MaxAgeSeconds>",),
        (METHOD + ORIGIN + "<ID>a</ID><ID>b</ID>",),
        (METHOD + "<AllowedOrigin/>",),
    ],
)
def test_what_does_not_fit_the_schema_is_malformed(rules: tuple[str, ...]) -> None:
    with pytest.raises(S3Error, match="MalformedXML"):
        xml_cors.canonical(document(*rules))


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (
            ORIGIN + "<AllowedMethod>PATCH</AllowedMethod>",
            "Found unsupported HTTP method in CORS config. Unsupported method is PATCH",
        ),
        (
            METHOD + "<AllowedOrigin>http://*.*</AllowedOrigin>",
            'AllowedOrigin "http://*.*" can not have more than one wildcard.',
        ),
        (
            METHOD + ORIGIN + "<AllowedHeader>*-*</AllowedHeader>",
            'AllowedHeader "*-*" can not have more than one wildcard.',
        ),
        (
            METHOD + ORIGIN + "<ExposeHeader>x-*</ExposeHeader>",
            'ExposeHeader "x-*" contains wildcard. We currently do not support wildcard for ExposeHeader.',
        ),
        (METHOD + ORIGIN + "<ExposeHeader>a b</ExposeHeader>", 'ExposeHeader "a b" is not the name of a header.'),
        (METHOD + ORIGIN + f"<ID>{'x' * 256}</ID>", "The ID of a CORS rule should not exceed"),
    ],
)
def test_what_is_meant_wrongly_is_named(rule: str, message: str) -> None:
    with pytest.raises(S3Error) as refused:
        xml_cors.canonical(document(rule))
    assert (refused.value.code, refused.value.status) == ("InvalidRequest", 400)
    assert refused.value.message.startswith(message)


def test_there_are_at_most_a_hundred_rules() -> None:
    xml_cors.canonical(document(*[METHOD + ORIGIN] * 100))
    with pytest.raises(S3Error, match="should not exceed allowed limit of 100 rules"):
        xml_cors.canonical(document(*[METHOD + ORIGIN] * 101))
