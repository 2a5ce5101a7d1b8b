"""What docs/compatibility.md says beside the dispatch table, and what a 501 gives as its reason.

`tests/s3/test_model_walk.py` holds these lists against AWS's own model: whatever the model documents of a built
operation is honoured, refused by name (`unbuilt`), or has its line here.
"""

from __future__ import annotations

_EXPRESS = "it belongs to directory buckets (S3 Express)"
_TABLES = "there are no metadata tables"
_ANNOTATIONS = "there are no annotations"
_NO_VERSION = "a version gets its id when the upload is completed"
_LATER = "it comes when it works"

UNBUILT: dict[str, str] = {
    "CreateBucketMetadataConfiguration": _TABLES,
    "CreateBucketMetadataTableConfiguration": _TABLES,
    "CreateSession": _EXPRESS,
    "DeleteBucketMetadataConfiguration": _TABLES,
    "DeleteBucketMetadataTableConfiguration": _TABLES,
    "DeleteBucketReplication": _LATER,
    "DeleteObjectAnnotation": _ANNOTATIONS,
    "GetBucketAbac": "access is not decided by a bucket's tags",
    "GetBucketLogging": _LATER,
    "GetBucketMetadataConfiguration": _TABLES,
    "GetBucketMetadataTableConfiguration": _TABLES,
    "GetBucketNotificationConfiguration": _LATER,
    "GetBucketReplication": _LATER,
    "GetObjectAnnotation": _ANNOTATIONS,
    "GetObjectTorrent": "AWS itself has ended it",
    "ListDirectoryBuckets": _EXPRESS,
    "ListObjectAnnotations": _ANNOTATIONS,
    "PutBucketAbac": "access is not decided by a bucket's tags",
    "PutBucketLogging": _LATER,
    "PutBucketNotificationConfiguration": _LATER,
    "PutBucketReplication": _LATER,
    "PutObjectAnnotation": _ANNOTATIONS,
    "RenameObject": _EXPRESS,
    "RestoreObject": "no storage class is an archive",
    "SelectObjectContent": "AWS has closed it to new customers",
    "UpdateBucketMetadataAnnotationTableConfiguration": _TABLES,
    "UpdateBucketMetadataInventoryTableConfiguration": _TABLES,
    "UpdateBucketMetadataJournalTableConfiguration": _TABLES,
    "UpdateObjectEncryption": "a copy onto itself does the same",
    "WriteGetObjectResponse": "it belongs to Object Lambda",
}
"""Why an operation is not built."""

BUILT: dict[str, str] = {
    "GetBucketLifecycleConfiguration": "answers the older GetBucketLifecycle too",
    "PutBucketAccelerateConfiguration": "kept and shown; there is no other network to be quicker through",
    "PutBucketAnalyticsConfiguration": "kept and shown; nothing is analysed",
    "PutBucketIntelligentTieringConfiguration": "kept and shown; there are no tiers",
    "PutBucketInventoryConfiguration": "kept and shown; no reports are delivered",
    "PutBucketLifecycleConfiguration": "transitions only to classes of `S3GATE_STORAGE_CLASSES`; takes older documents",
    "PutBucketMetricsConfiguration": "kept and shown; nothing is counted",
    "PutBucketRequestPayment": "others than the owner must say that they would pay; nobody is charged",
    "PutBucketVersioning": "MFA delete is 501",
}
"""What a client should know of one that is."""

UNASKED: dict[str, str] = {
    "x-amz-bucket-object-lock-token": "AWS documents the header and no way to get a token; locks need none here",
    "x-amz-optional-object-attributes": "the only attribute is RestoreStatus, and nothing was ever restored",
    "x-amz-request-payer": "requests cost nobody anything",
}
"""Inputs that change nothing. All others are honoured, or refused by name."""

NOT_GIVEN: dict[str, str] = {
    "AbortMultipartUpload: x-amz-version-id": _NO_VERSION,
    "BucketArn": "it belongs to directory buckets",
    "CreateMultipartUpload: x-amz-version-id": _NO_VERSION,
    "ListParts: x-amz-version-id": _NO_VERSION,
    "MfaDelete": "it cannot be enabled",
    "RestoreStatus": "nothing was ever restored",
    "UploadPart: x-amz-version-id": _NO_VERSION,
    "UploadPartCopy: x-amz-version-id": _NO_VERSION,
    "x-amz-access-point-alias": "there are no access points",
    "x-amz-archive-status": "no storage class is an archive",
    "x-amz-bucket-arn": "it belongs to directory buckets",
    "x-amz-bucket-location-name": "it belongs to directory buckets",
    "x-amz-bucket-location-type": "it belongs to directory buckets",
    "x-amz-missing-meta": "every header can be sent: what is not ASCII is encoded",
    "x-amz-object-lock-event-hold": "event holds are refused",
    "x-amz-object-lock-event-hold-duration-days": "event holds are refused",
    "x-amz-object-lock-event-hold-duration-years": "event holds are refused",
    "x-amz-object-size": "it belongs to appending, which is refused",
    "x-amz-replication-status": "there is no replication",
    "x-amz-request-charged": "requests cost nobody anything",
    "x-amz-restore": "nothing was ever restored",
}
"""Outputs that no answer has, or none of one operation."""
