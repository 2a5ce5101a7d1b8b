"""ServerSideEncryptionConfiguration: from a client's document to the one that is kept and answered, and its meaning."""

from __future__ import annotations

from functools import lru_cache

from s3gate.s3.errors import S3Error
from s3gate.s3.sse import AES256, KMS, BucketDefault
from s3gate.s3.xml_shape import Node, choice, flag, group, read, text, write

_SSE_C, _NONE = "SSE-C", "NONE"
_SHAPE = group(
    "ServerSideEncryptionConfiguration",
    group(
        "Rule",
        group(
            "ApplyServerSideEncryptionByDefault",
            text("KMSMasterKeyID", least=0),
            choice("SSEAlgorithm", AES256, KMS, "aws:kms:dsse", "aws:fsx", "aws:backup"),
            least=0,
        ),
        group("BlockedEncryptionTypes", choice("EncryptionType", _SSE_C, _NONE, least=0, most=2), least=0),
        flag("BucketKeyEnabled", least=0),
    ),
)


def canonical(data: bytes) -> bytes:
    """The document to keep and to answer. Raises MalformedXML, InvalidArgument or NotImplemented."""
    tree = read(data, _SHAPE)
    rule = tree.all("Rule")[0]
    algorithm = rule.value("ApplyServerSideEncryptionByDefault", "SSEAlgorithm")
    key_id = rule.value("ApplyServerSideEncryptionByDefault", "KMSMasterKeyID")
    if algorithm not in (None, AES256, KMS):
        raise S3Error.of("NotImplemented", f"Default encryption {algorithm} is not implemented.")
    if key_id is not None and algorithm != KMS:
        raise S3Error.of(
            "InvalidArgument",
            "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms or aws:kms:dsse",
            ArgumentName="ApplyServerSideEncryptionByDefault",
        )
    rule.below.setdefault("BucketKeyEnabled", [Node("false")])
    return write(tree, _SHAPE)


@lru_cache(maxsize=256)
def default_of(document: bytes) -> BucketDefault:
    """What a document that `canonical` made means."""
    rule = read(document, _SHAPE).all("Rule")[0]
    blocked = [node.text for node in (rule.one("BlockedEncryptionTypes") or Node()).all("EncryptionType")]
    return BucketDefault(
        rule.value("ApplyServerSideEncryptionByDefault", "SSEAlgorithm") or "",
        rule.value("ApplyServerSideEncryptionByDefault", "KMSMasterKeyID") or "",
        rule.value("BucketKeyEnabled") == "true",
        _SSE_C in blocked,
    )
