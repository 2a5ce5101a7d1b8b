"""Request headers that ask for what is not built: they are refused by name, never ignored.

Everything of botocore's S3 model that a built operation may be sent is either honoured elsewhere or has a
row here; a test compares. Some values ask for nothing (a private ACL, the STANDARD class) and pass.
"""

from __future__ import annotations

from collections.abc import Collection

from s3gate.s3 import sse
from s3gate.s3.errors import S3Error, invalid_argument, not_implemented
from s3gate.s3.operation import MAKERS
from s3gate.s3.request import Headers

# name -> the values by which nothing is asked (in lower case, but classes of storage as they are written); of all other
# values the header is refused
HARMLESS: dict[bytes, frozenset[bytes]] = {
    b"x-amz-acl": frozenset((b"private", b"bucket-owner-full-control")),
    b"x-amz-bucket-namespace": frozenset((b"global",)),
    b"x-amz-bucket-object-lock-enabled": frozenset((b"false",)),
    b"x-amz-bypass-governance-retention": frozenset((b"false",)),
    b"x-amz-if-match-initiated-time": frozenset(),
    b"x-amz-if-match-last-modified-time": frozenset(),
    b"x-amz-if-match-size": frozenset(),
    b"x-amz-mfa": frozenset(),
    b"x-amz-object-lock-event-hold": frozenset((b"off",)),
    b"x-amz-object-lock-event-hold-duration-days": frozenset(),
    b"x-amz-object-lock-event-hold-duration-years": frozenset(),
    b"x-amz-object-lock-legal-hold": frozenset((b"off",)),
    b"x-amz-object-lock-mode": frozenset(),
    b"x-amz-object-lock-retain-until-date": frozenset(),
    # There are no annotations: copying or dropping them is the same.
    b"x-amz-object-annotation-directive": frozenset((b"copy", b"exclude")),
    b"x-amz-object-ownership": frozenset((b"bucketownerenforced",)),
    b"x-amz-storage-class": frozenset((b"STANDARD",)),
    b"x-amz-tagging": frozenset((b"",)),
    b"x-amz-tagging-directive": frozenset((b"copy", b"replace")),
    b"x-amz-write-offset-bytes": frozenset(),
}
TAKING_ACLS = MAKERS | frozenset(("CreateBucket", "PutBucketAcl", "PutObjectAcl"))
"""What an ACL can be given to."""
# name -> the operations that honour it; of all others it is asked in vain
HONOURED = {
    b"x-amz-acl": TAKING_ACLS,
    b"x-amz-bucket-object-lock-enabled": frozenset(("CreateBucket",)),
    b"x-amz-bypass-governance-retention": frozenset(("DeleteObject", "DeleteObjects", "PutObjectRetention")),
    b"x-amz-if-match-last-modified-time": frozenset(("DeleteObject",)),
    b"x-amz-if-match-size": frozenset(("DeleteObject",)),
    b"x-amz-object-lock-legal-hold": MAKERS,
    b"x-amz-object-lock-mode": MAKERS,
    b"x-amz-object-lock-retain-until-date": MAKERS,
    b"x-amz-object-ownership": frozenset(("CreateBucket",)),
    b"x-amz-tagging": MAKERS,
    b"x-amz-tagging-directive": frozenset(("CopyObject",)),
}
COPY_SOURCE = b"x-amz-copy-source"
_COPYING = frozenset(("CopyObject", "UploadPartCopy"))
_NOWHERE: frozenset[str] = frozenset()
GRANTS = b"x-amz-grant-"
_STORAGE_CLASSES = frozenset(
    [
        "DEEP_ARCHIVE",
        "EXPRESS_ONEZONE",
        "FSX_ONTAP",
        "FSX_OPENZFS",
        "GLACIER",
        "GLACIER_IR",
        "INTELLIGENT_TIERING",
        "ONEZONE_IA",
        "OUTPOSTS",
        "REDUCED_REDUNDANCY",
        "SNOW",
        "STANDARD",
        "STANDARD_IA",
    ]
)


def refuse_unbuilt(headers: Headers, operation_name: str, storage_classes: Collection[str] = ()) -> None:
    """NotImplemented naming the header and the operation, if one asks for what this operation cannot do.

    What S3 itself refuses here is InvalidArgument: encryption and a source where there is nothing to encrypt or copy.

    `storage_classes` are those beside STANDARD whose names are accepted.
    """
    for name, value in headers.items():
        if not name.startswith(b"x-amz-"):
            continue
        harmless = HARMLESS.get(name)
        if harmless is None:
            if name.startswith(GRANTS) and operation_name not in TAKING_ACLS:
                raise _refusal(name, operation_name)
            if name.startswith(sse.PREFIXES):
                sse.refuse_misplaced(name, value, operation_name)
            elif name == COPY_SOURCE and operation_name not in _COPYING:
                message = "You can only specify a copy source header for copy requests."
                raise invalid_argument(name.decode(), value.strip().decode("latin-1"), message)
        elif value.strip().lower() not in harmless and operation_name not in HONOURED.get(name, _NOWHERE):
            if name == b"x-amz-storage-class":
                label = value.strip().decode("latin-1")
                if value.strip() in harmless or (label in storage_classes and operation_name in MAKERS):
                    continue
                if label not in _STORAGE_CLASSES:
                    raise S3Error.of("InvalidStorageClass", StorageClassRequested=label)
            raise _refusal(name, operation_name)


def _refusal(name: bytes, operation_name: str) -> S3Error:
    text = name.decode("latin-1")
    message = f"A header you provided implies functionality that is not implemented: {operation_name}, {text}"
    return not_implemented(text, message)
