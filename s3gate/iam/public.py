"""What counts as public, and the one rule of object ownership: how policies, ACLs and the two switches act together.

AWS's words are in the S3 user guide, "The meaning of public" and "Controlling ownership of objects". This file judges
documents that are already read, and knows nothing of who asks.
"""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network

from s3gate.iam import acl as acls
from s3gate.iam.acl import CANNED_HEADER, FULL_CONTROL, NOBODY, Acl, Grant
from s3gate.iam.conditions import FOR_ALL, Condition
from s3gate.iam.patterns import has_wildcard
from s3gate.iam.statement import Policy, Statement
from s3gate.s3.errors import S3Error
from s3gate.s3.request import Headers
from s3gate.s3.xml_access import BUCKET_OWNER_ENFORCED, BUCKET_OWNER_PREFERRED, Block

WIDEST_IPV4_PREFIX = 8
WIDEST_IPV6_PREFIX = 32
"""Whole parts of the internet are the public: a range of addresses must not be wider than these."""

_FULL_CONTROL_OF_BUCKET_OWNER = "bucket-owner-full-control"
# A statement for everybody is not public if it holds one of these to fixed values.
_FIXING = frozenset(
    (
        "aws:principalaccount",
        "aws:principalarn",
        "aws:principalorgid",
        "aws:sourceaccount",
        "aws:sourcearn",
        "aws:sourceowner",
        "aws:sourcevpc",
        "aws:sourcevpce",
        "aws:userid",
        "s3:dataaccesspointaccount",
        "s3:dataaccesspointarn",
        "s3:x-amz-server-side-encryption-aws-kms-key-id",
    )
)
_SOURCE_IP = "aws:sourceip"


def is_public(policy: Policy) -> bool:
    """Whether it lets in whoever comes."""
    return any(_opens(statement) for statement in policy.statements if statement.allows)


def _opens(statement: Statement) -> bool:
    principals = statement.principals
    if principals is None or not principals.everybody:
        return False
    return not any(_fixes(condition) for condition in statement.conditions)


def _fixes(condition: Condition) -> bool:
    operator = condition.operator
    if operator.negated or condition.if_exists or condition.qualifier == FOR_ALL or condition.templates:
        return False
    if condition.key == _SOURCE_IP and operator.name == "IpAddress":
        return all(_narrow(network) for network in condition.fixed)
    if condition.key not in _FIXING or not operator.text:
        return False
    return not (operator.wildcards and any(has_wildcard(value) for value in condition.fixed))


def _narrow(network: IPv4Network | IPv6Network) -> bool:
    return network.prefixlen >= (WIDEST_IPV4_PREFIX if network.version == 4 else WIDEST_IPV6_PREFIX)


# --- ACLs that are put


def check_public_acl(acl: Acl, block: Block) -> None:
    """AccessDenied for an ACL that the block of public ACLs keeps out."""
    if block.block_acls and acl.is_public:
        raise S3Error.of("AccessDenied")


def check_acls_enabled(ownership: str) -> None:
    """What every change of an ACL hears where ACLs are disabled."""
    if ownership == BUCKET_OWNER_ENFORCED:
        raise S3Error.of("AccessControlListNotSupported")


def acl_of_new_object(headers: Headers, *, writer: str, bucket_owner: str, ownership: str, block: Block) -> Acl:
    """What an object that is written with these headers gets: its owner and its grants, not settled yet.

    `writer` is the canonical id of the account that writes, "" of nobody. Where ACLs are disabled, those pass that
    say what is so anyway: the bucket owner's full control and nothing else, in whatever form.
    """
    owner = writer or NOBODY
    asked = acls.of_headers(headers, owner, bucket_owner, on_bucket=False)
    favours_bucket_owner = headers.get(CANNED_HEADER) == _FULL_CONTROL_OF_BUCKET_OWNER
    if ownership == BUCKET_OWNER_ENFORCED:
        only_his = asked is not None and asked.grants == (Grant(bucket_owner, FULL_CONTROL),)
        if asked is not None and not favours_bucket_owner and not only_his:
            raise S3Error.of("AccessControlListNotSupported")
        return acls.private(bucket_owner)
    if ownership == BUCKET_OWNER_PREFERRED and favours_bucket_owner:
        return acls.private(bucket_owner)
    found = acls.private(owner) if asked is None else asked
    check_public_acl(found, block)
    return found


def acl_of_new_bucket(headers: Headers, *, owner: str, ownership: str, block: Block) -> Acl:
    """What a bucket that is made with these headers gets, not settled yet."""
    asked = acls.of_headers(headers, owner, owner, on_bucket=True)
    if asked is None:
        return acls.private(owner)
    if ownership == BUCKET_OWNER_ENFORCED and asked.grants_to_others(owner):
        raise S3Error.of("InvalidBucketAclWithObjectOwnership")
    check_public_acl(asked, block)
    return asked


def check_ownership(ownership: str, bucket_acl: Acl) -> None:
    """ACLs can be disabled only where the bucket's own grants nothing to others."""
    if ownership == BUCKET_OWNER_ENFORCED and bucket_acl.grants_to_others(bucket_acl.owner):
        raise S3Error.of("InvalidBucketAclWithObjectOwnership")
