"""A bucket as a website: configurations, which key a path means, where rules lead."""

from __future__ import annotations

import pytest

from s3gate.s3 import website, xml_website
from s3gate.s3.errors import S3Error
from s3gate.s3.website import Asked, Redirect, Rule, Website

INDEX = "<IndexDocument><Suffix>index.html</Suffix></IndexDocument>"


def document(*inner: str) -> bytes:
    return f"<WebsiteConfiguration>{''.join(inner)}</WebsiteConfiguration>".encode()


def rules(*each: str) -> bytes:
    inner = "".join(f"<RoutingRule>{rule}</RoutingRule>" for rule in each)
    return document(INDEX, f"<RoutingRules>{inner}</RoutingRules>")


def asked(path: str, query: bytes = b"") -> Asked:
    return Asked("https", "box.site.test:9000", path.encode(), query)


def test_a_configuration_becomes_a_website() -> None:
    kept = xml_website.canonical(
        rules(
            "<Condition><KeyPrefixEquals>old/</KeyPrefixEquals></Condition>"
            "<Redirect><ReplaceKeyPrefixWith>new/</ReplaceKeyPrefixWith></Redirect>",
            "<Condition><HttpErrorCodeReturnedEquals>404</HttpErrorCodeReturnedEquals></Condition><Redirect>"
            "<HostName>other.test</HostName><Protocol>http</Protocol><HttpRedirectCode>307</HttpRedirectCode></Redirect>",
        ).replace(b"</WebsiteC", b"<ErrorDocument><Key>e.html</Key></ErrorDocument></WebsiteC")
    )
    assert xml_website.canonical(kept) == kept
    assert xml_website.website(kept) == Website(
        "index.html",
        "e.html",
        None,
        (
            Rule(Redirect(prefix="new/"), "old/"),
            Rule(Redirect("http", "other.test", status=307), "", 404),
        ),
    )


@pytest.mark.parametrize(
    ("path", "key", "folder"),
    [
        ("", b"index.html", None),
        ("photos/", b"photos/index.html", None),
        ("photos", b"photos", b"photos/index.html"),
        ("a/b.html", b"a/b.html", b"a/b.html/index.html"),
        ("//", b"//index.html", None),
    ],
)
def test_what_a_path_means(path: str, key: bytes, folder: bytes | None) -> None:
    site = Website("index.html")
    assert website.key_of(site, asked(path)) == key
    assert website.folder_index(site, asked(path)) == folder


def test_a_folder_is_found_with_its_slash() -> None:
    assert website.to_folder(asked("ä b")) == (302, "/%C3%A4%20b/")


@pytest.mark.parametrize(
    ("rule", "path", "where"),
    [
        (Rule(Redirect(prefix="new/"), "old/"), "old/a b", "https://box.site.test:9000/new/a%20b"),
        (Rule(Redirect(prefix=""), "old/"), "old/x", "https://box.site.test:9000/x"),
        (Rule(Redirect(key="one.html"), "old/"), "old/x", "https://box.site.test:9000/one.html"),
        (Rule(Redirect(host="o.test", protocol="http")), "any", "http://o.test/any"),
        (Rule(Redirect(prefix="#!/"), ""), "page", "https://box.site.test:9000/#!/page"),
        (Rule(Redirect(key="find?q=1")), "page", "https://box.site.test:9000/find?q=1"),
        (Rule(Redirect(prefix="x"), "other"), "page", None),
        (Rule(Redirect(prefix="x"), "", 404), "page", None),
    ],
)
def test_rules_before_the_look(rule: Rule, path: str, where: str | None) -> None:
    found = website.before(Website("i", rules=(rule,)), asked(path))
    assert found == (None if where is None else (301, where))


def test_rules_after_an_error() -> None:
    site = Website("i", rules=(Rule(Redirect(key="403"), "a", 403), Rule(Redirect(key="404", status=302), "", 404)))
    assert website.before(site, asked("a")) is None
    assert website.after(site, asked("a"), 403) == (301, "https://box.site.test:9000/403")
    assert website.after(site, asked("a"), 404) == (302, "https://box.site.test:9000/404")
    assert website.after(site, asked("b"), 403) is None


def test_everything_goes_elsewhere_with_its_path() -> None:
    site = Website(everything=Redirect(None, "www.test"))
    assert website.before(site, asked("a/b c?", b"x=%20")) == (301, "https://www.test/a/b%20c%3F?x=%20")
    assert website.before(site, asked("")) == (301, "https://www.test/")


REDIRECT = "<Redirect><HostName>h</HostName></Redirect>"


@pytest.mark.parametrize(
    ("data", "code", "message"),
    [
        (document(), "InvalidArgument", "A value for IndexDocument Suffix must be provided if RedirectAllRequestsTo"),
        (document("<ErrorDocument><Key>e</Key></ErrorDocument>"), "InvalidArgument", "A value for IndexDocument"),
        (document("<IndexDocument/>"), "MalformedXML", ""),
        (document("<IndexDocument><Suffix></Suffix></IndexDocument>"), "InvalidArgument", "The IndexDocument Suffix"),
        (
            document("<IndexDocument><Suffix>a/b</Suffix></IndexDocument>"),
            "InvalidArgument",
            "The IndexDocument Suffix",
        ),
        (document(INDEX, "<ErrorDocument><Key></Key></ErrorDocument>"), "InvalidArgument", "The ErrorDocument Key"),
        (
            document(INDEX, "<RedirectAllRequestsTo><HostName>h</HostName></RedirectAllRequestsTo>"),
            "InvalidRequest",
            "R",
        ),
        (document("<RedirectAllRequestsTo/>"), "MalformedXML", ""),
        (
            document("<RedirectAllRequestsTo><HostName>h</HostName><Protocol>ftp</Protocol></RedirectAllRequestsTo>"),
            "InvalidRequest",
            "Invalid protocol, protocol can be http or https.",
        ),
        (
            document("<RedirectAllRequestsTo><HostName>h/\n</HostName></RedirectAllRequestsTo>"),
            "InvalidRequest",
            "The host name",
        ),
        (document(INDEX, "<RoutingRules/>"), "MalformedXML", ""),
        (rules("<Condition><KeyPrefixEquals>a</KeyPrefixEquals></Condition>"), "MalformedXML", ""),
        (rules("<Redirect/>"), "MalformedXML", ""),
        (rules("<Condition/>" + REDIRECT), "InvalidRequest", "Condition cannot be empty."),
        (
            rules(
                "<Redirect><ReplaceKeyWith>a</ReplaceKeyWith><ReplaceKeyPrefixWith>b</ReplaceKeyPrefixWith></Redirect>"
            ),
            "InvalidRequest",
            "You can only define ReplaceKeyPrefix or ReplaceKey but not both.",
        ),
        (
            rules("<Redirect><HttpRedirectCode>400</HttpRedirectCode></Redirect>"),
            "InvalidRequest",
            "The provided HTTP redirect code (400) is not valid. Valid codes are 3XX except 300.",
        ),
        (
            rules(
                "<Condition><HttpErrorCodeReturnedEquals>200</HttpErrorCodeReturnedEquals></Condition>" + REDIRECT,
            ),
            "InvalidRequest",
            "The provided HTTP error code (200) is not valid. Valid codes are 4XX or 5XX.",
        ),
        (rules(*[REDIRECT] * 51), "InvalidRequest", "51 routing rules provided"),
    ],
)
def test_configurations_that_are_refused(data: bytes, code: str, message: str) -> None:
    with pytest.raises(S3Error) as refused:
        xml_website.canonical(data)
    assert refused.value.code == code and refused.value.message.startswith(message)


@pytest.mark.parametrize("host", ["h", "www.h.test:8080", "[::1]:80", "h.test/sub/folder", "h.test?my=query&amp;b=%20"])
def test_a_host_may_bring_a_path_and_a_query(host: str) -> None:
    data = document(f"<RedirectAllRequestsTo><HostName>{host}</HostName></RedirectAllRequestsTo>")
    found = xml_website.website(xml_website.canonical(data)).everything
    assert found is not None and found.host == host.replace("&amp;", "&")


def test_fifty_rules_are_enough() -> None:
    assert len(xml_website.website(xml_website.canonical(rules(*[REDIRECT] * 50))).rules) == 50


def test_the_page_of_an_error() -> None:
    page = xml_website.error_page(404, [("Code", "NoSuchKey"), ("Key", "<script>&")]).decode()
    assert "<title>404 Not Found</title>" in page and "<li>Key: &lt;script&gt;&amp;</li>" in page
    assert "Custom Error Document" not in page
    second = xml_website.error_page(403, [("Code", "AccessDenied")], [("Code", "NoSuchKey")]).decode()
    assert "An Error Occurred While Attempting to Retrieve a Custom Error Document" in second
