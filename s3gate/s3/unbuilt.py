"""Request headers that ask for what is not built: they are refused by name, never ignored.

Everything of botocore's S3 model that a built operation may be sent is either honoured elsewhere or has a
row here; a test compares. Some values ask for nothing (a private ACL, the STANDARD class) and pass.
"""

from __future__ import annotations

from s3gate.s3.errors import S3Error, not_implemented
from s3gate.s3.request import Headers

# name -> the values (in lower case) by which nothing is asked; of all other values the header is refused
_HARMLESS: dict[bytes, frozenset[bytes]] = {
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
    # There are no annotations and no tags: copying or dropping them is the same.
    b"x-amz-object-annotation-directive": frozenset((b"copy", b"exclude")),
    b"x-amz-object-ownership": frozenset((b"bucketownerenforced",)),
    b"x-amz-server-side-encryption": frozenset(),
    b"x-amz-server-side-encryption-bucket-key-enabled": frozenset((b"false",)),
    b"x-amz-storage-class": frozenset((b"standard",)),
    b"x-amz-tagging": frozenset((b"",)),
    b"x-amz-tagging-directive": frozenset((b"copy", b"replace")),
    b"x-amz-write-offset-bytes": frozenset(),
}
_REFUSED_PREFIXES = (
    b"x-amz-grant-",
    b"x-amz-server-side-encryption-",
    b"x-amz-copy-source-server-side-encryption-",
)
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


def refuse_unbuilt(headers: Headers, operation_name: str) -> None:
    """NotImplemented naming the header and the operation, if one asks for what this operation cannot do."""
    for name, value in headers.items():
        if not name.startswith(b"x-amz-"):
            continue
        harmless = _HARMLESS.get(name)
        if harmless is None:
            if name.startswith(_REFUSED_PREFIXES):
                raise _refusal(name, operation_name)
        elif value.strip().lower() not in harmless:
            if name == b"x-amz-storage-class" and value.strip().decode("latin-1") not in _STORAGE_CLASSES:
                raise S3Error.of("InvalidStorageClass", StorageClassRequested=value.decode("latin-1"))
            raise _refusal(name, operation_name)


def _refusal(name: bytes, operation_name: str) -> S3Error:
    text = name.decode("latin-1")
    message = f"A header you provided implies functionality that is not implemented: {operation_name}, {text}"
    return not_implemented(text, message)
