"""Three small documents around access: ownership controls, the public access block, and the status of a policy."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from s3gate.s3.xml_in import boolean, local_name, malformed, parse_root, text_of
from s3gate.s3.xml_out import document, element

LIMIT_BYTES = 8 * 1024
BUCKET_OWNER_ENFORCED = "BucketOwnerEnforced"
BUCKET_OWNER_PREFERRED = "BucketOwnerPreferred"
OBJECT_WRITER = "ObjectWriter"
OWNERSHIPS = (BUCKET_OWNER_PREFERRED, OBJECT_WRITER, BUCKET_OWNER_ENFORCED)


class Block(NamedTuple):
    """The four switches, in the document's order; what it leaves out is off."""

    block_acls: bool = False
    ignore_acls: bool = False
    block_policy: bool = False
    restrict_buckets: bool = False


_SWITCHES = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
NO_BLOCK = Block()
ALL_BLOCKED = Block(True, True, True, True)


@lru_cache(maxsize=1024)
def ownership(data: bytes) -> str:
    """What the one rule of an OwnershipControls document says."""
    rules = list(parse_root(data, "OwnershipControls"))
    if len(rules) != 1 or local_name(rules[0]) != "Rule":
        raise malformed()
    fields = list(rules[0])
    if len(fields) != 1 or local_name(fields[0]) != "ObjectOwnership" or text_of(fields[0]) not in OWNERSHIPS:
        raise malformed()
    return text_of(fields[0])


@lru_cache(maxsize=1024)
def public_access_block(data: bytes) -> Block:
    """The switches of a PublicAccessBlockConfiguration."""
    found: dict[str, bool] = {}
    for child in parse_root(data, "PublicAccessBlockConfiguration"):
        name = local_name(child)
        if name in found or name not in _SWITCHES:
            raise malformed()
        found[name] = boolean(text_of(child))
    return Block(*(found.get(name, False) for name in _SWITCHES))


def public_access_block_document(block: Block) -> bytes:
    """The switches, each said."""
    parts = [element(name, str(value).lower()) for name, value in zip(_SWITCHES, block, strict=True)]
    return document("PublicAccessBlockConfiguration", parts)


def policy_status(is_public: bool) -> bytes:
    """The answer to GetBucketPolicyStatus."""
    return document("PolicyStatus", (element("IsPublic", "true" if is_public else "false"),))
