"""WebsiteConfiguration as XML, and the pages of HTML that a website answers when it has none of its own.

It judges a configuration; what follows from it is in website.py.
"""

from __future__ import annotations

import re
from functools import lru_cache
from html import escape
from http import HTTPStatus

from s3gate.s3.errors import S3Error, invalid_argument
from s3gate.s3.website import MOVED, Redirect, Rule, Website
from s3gate.s3.xml_shape import MANY, Node, group, read, text, write

LIMIT_BYTES = 128 * 1024
LIMIT_RULES = 50
SITES_CACHED = 256

# Whatever may stand in a URL: AWS takes a path and a query behind the name, and Terraform sends them there.
_HOST = re.compile(r"[A-Za-z0-9.:\[\]_][A-Za-z0-9.:\[\]_/?#=&%~+,;@!$'()*-]*").fullmatch

_SHAPE = group(
    "WebsiteConfiguration",
    group("IndexDocument", text("Suffix"), least=0),
    group("ErrorDocument", text("Key"), least=0),
    group("RedirectAllRequestsTo", text("HostName"), text("Protocol", least=0), least=0),
    group(
        "RoutingRules",
        group(
            "RoutingRule",
            group(
                "Condition",
                text("HttpErrorCodeReturnedEquals", least=0),
                text("KeyPrefixEquals", least=0),
                least=0,
            ),
            group(
                "Redirect",
                text("Protocol", least=0),
                text("HostName", least=0),
                text("ReplaceKeyPrefixWith", least=0),
                text("ReplaceKeyWith", least=0),
                text("HttpRedirectCode", least=0),
            ),
            most=MANY,
        ),
        least=0,
    ),
)


def canonical(data: bytes) -> bytes:
    """The document to keep and to answer. Raises MalformedXML, InvalidArgument or InvalidRequest."""
    tree = read(data, _SHAPE)
    rules = _rules(tree)
    everything = tree.one("RedirectAllRequestsTo")
    if everything is not None:
        if len(tree.below) > 1:
            raise _invalid("RedirectAllRequestsTo cannot be provided in conjunction with other Routing Rules.")
        _check_target(everything)
    elif tree.one("IndexDocument") is None:
        message = "A value for IndexDocument Suffix must be provided if RedirectAllRequestsTo is empty"
        raise invalid_argument("IndexDocument", "null", message)
    suffix = tree.value("IndexDocument", "Suffix")
    if suffix is not None and (not suffix or "/" in suffix):
        raise invalid_argument("IndexDocument", suffix, "The IndexDocument Suffix is not well formed")
    if tree.value("ErrorDocument", "Key") == "":
        raise invalid_argument("ErrorDocument", "", "The ErrorDocument Key is not well formed")
    if len(rules) > LIMIT_RULES:
        raise _invalid(f"{len(rules)} routing rules provided, the number of routing rules is limited to {LIMIT_RULES}.")
    for rule in rules:
        _check_rule(rule)
    return write(tree, _SHAPE)


@lru_cache(maxsize=SITES_CACHED)
def website(document: bytes) -> Website:
    """The configuration of a document that `canonical` made."""
    tree = read(document, _SHAPE)
    everything = tree.one("RedirectAllRequestsTo")
    return Website(
        tree.value("IndexDocument", "Suffix") or "",
        tree.value("ErrorDocument", "Key"),
        None if everything is None else _redirect(everything),
        tuple(
            Rule(
                _redirect(rule.below["Redirect"][0]),
                rule.value("Condition", "KeyPrefixEquals") or "",
                rule.number("Condition", "HttpErrorCodeReturnedEquals"),
            )
            for rule in _rules(tree)
        ),
    )


def _rules(tree: Node) -> list[Node]:
    rules = tree.one("RoutingRules")
    return [] if rules is None else rules.all("RoutingRule")


def _redirect(node: Node) -> Redirect:
    return Redirect(
        node.value("Protocol"),
        node.value("HostName"),
        node.value("ReplaceKeyPrefixWith"),
        node.value("ReplaceKeyWith"),
        node.number("HttpRedirectCode") or MOVED,
    )


def _check_rule(rule: Node) -> None:
    condition, redirect = rule.one("Condition"), rule.below["Redirect"][0]
    if condition is not None and not condition.below:
        raise _invalid(
            "Condition cannot be empty. To redirect all requests without a condition, the condition element shouldn't "
            "be present."
        )
    if not redirect.below:
        raise S3Error.of("MalformedXML")
    error = rule.value("Condition", "HttpErrorCodeReturnedEquals")
    if error is not None and re.fullmatch("[45][0-9][0-9]", error) is None:
        raise _invalid(f"The provided HTTP error code ({error}) is not valid. Valid codes are 4XX or 5XX.")
    code = redirect.value("HttpRedirectCode")
    if code is not None and (re.fullmatch("3[0-9][0-9]", code) is None or code == "300"):
        raise _invalid(f"The provided HTTP redirect code ({code}) is not valid. Valid codes are 3XX except 300.")
    if redirect.one("ReplaceKeyWith") is not None and redirect.one("ReplaceKeyPrefixWith") is not None:
        raise _invalid("You can only define ReplaceKeyPrefix or ReplaceKey but not both.")
    _check_target(redirect)


def _check_target(target: Node) -> None:
    """What will be written into a Location header."""
    protocol, host = target.value("Protocol"), target.value("HostName")
    if protocol is not None and protocol not in ("http", "https"):
        raise _invalid(
            "Invalid protocol, protocol can be http or https. If not defined the protocol will be selected "
            "automatically."
        )
    if host is not None and _HOST(host) is None:
        raise _invalid(f"The host name {host} is not valid.")


def error_page(status: int, facts: list[tuple[str, str]], second: list[tuple[str, str]] | None = None) -> bytes:
    """The page of an error: `facts` by name; `second` are those of the error that its custom page ended with."""
    title = f"{status} {HTTPStatus(status).phrase}"
    more = (
        f"<h3>An Error Occurred While Attempting to Retrieve a Custom Error Document</h3>\n{_list(second)}"
        if second is not None
        else ""
    )
    return (
        f"<html>\n<head><title>{title}</title></head>\n<body>\n<h1>{title}</h1>\n{_list(facts)}{more}<hr/>\n</body>\n"
        "</html>\n"
    ).encode("utf-8", "replace")


def _list(facts: list[tuple[str, str]]) -> str:
    items = "".join(f"<li>{escape(name)}: {escape(value)}</li>\n" for name, value in facts)
    return f"<ul>\n{items}</ul>\n"


def _invalid(message: str) -> S3Error:
    return S3Error.of("InvalidRequest", message)
