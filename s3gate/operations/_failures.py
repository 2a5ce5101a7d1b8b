"""Where the errors of the lower rooms become S3's, once.

The catalog and the store speak their own language. Operations catch what they can answer better themselves;
whatever else leaves one is promoted here, by its type and never by its text. A cancellation stays one.
"""

from __future__ import annotations

from s3gate.catalog import errors as catalog
from s3gate.iam.evaluate import Decision
from s3gate.s3.errors import CODES, S3Error
from s3gate.s3.request import Request
from s3gate.s3.versions import no_such_version
from s3gate.store import errors as store

RETRY_AFTER_SECONDS = "1"
OF_LOWER_ROOMS = (catalog.CatalogError, store.StoreError)


class Denied(S3Error):
    """AccessDenied, and what decided it: that is for the audit trail, and nothing of it for the client."""

    __slots__ = ("why",)

    def __init__(self, decision: Decision) -> None:
        super().__init__("AccessDenied", *CODES["AccessDenied"])
        self.why = (decision.verdict.value, decision.by, decision.sid)


def as_s3_error(error: BaseException, request: Request) -> S3Error:
    """What the client is told. The most telling cause of a failed write decides."""
    if isinstance(error, store.WriteFailed):
        return error.cause if isinstance(error.cause, S3Error) else as_s3_error(error.cause, request)
    if isinstance(error, catalog.CatalogError):
        return _of_catalog(error, request)
    if isinstance(error, store.StoreFull):
        return _later("SlowDown", "The nodes that are up have no room left. Please try again later.")
    if isinstance(error, store.StoreUnavailable):
        return _later("ServiceUnavailable", "Not enough nodes answer. Please try again later.")
    return S3Error.of("InternalError")


def _of_catalog(error: catalog.CatalogError, request: Request) -> S3Error:
    if isinstance(error, catalog.BucketMissing):
        return no_such_bucket(request.bucket)
    if isinstance(error, catalog.ObjectMissing):
        return no_such_key(request.key)
    if isinstance(error, catalog.ConditionFailed):
        return S3Error.of("PreconditionFailed", Condition=error.condition)
    if isinstance(error, catalog.UploadMissing):
        return S3Error.of("NoSuchUpload", UploadId=request.query.get("uploadId") or "")
    if isinstance(error, catalog.PartMissing):
        return S3Error.of("InvalidPart", PartNumber=str(error.part_number))
    if isinstance(error, catalog.SourceChanged):
        return S3Error.of("OperationAborted")
    if isinstance(error, catalog.BucketChanged):
        return S3Error.of("OperationAborted").with_headers(retry_after=RETRY_AFTER_SECONDS)
    if isinstance(error, catalog.VersionMissing):
        return no_such_version(request.key, request.query.get("versionId") or "")
    if isinstance(error, catalog.VersionLocked):
        return S3Error.of("AccessDenied", "Access Denied because object protected by object lock.")
    if isinstance(error, catalog.WrongBucketState):
        return S3Error.of("InvalidBucketState", BucketName=request.bucket)
    return _later("ServiceUnavailable", "The metadata store does not answer. Please try again later.")


def no_such_bucket(name: str) -> S3Error:
    return S3Error.of("NoSuchBucket", BucketName=name)


def no_such_key(key: bytes) -> S3Error:
    return S3Error.of("NoSuchKey", Key=key.decode("utf-8", "replace"))


def _later(code: str, message: str) -> S3Error:
    return S3Error.of(code, message).with_headers(retry_after=RETRY_AFTER_SECONDS)
