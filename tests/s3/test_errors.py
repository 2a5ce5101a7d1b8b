"""The table of error codes."""

from __future__ import annotations

import re

import pytest

from s3gate.s3.errors import CODES, S3Error, invalid_argument, not_implemented

WIRE = {
    304: "NotModified",
    400: """AccessControlListNotSupported AuthorizationHeaderMalformed AuthorizationQueryParametersError
        BadDigest EntityTooLarge EntityTooSmall ExpiredToken IllegalLocationConstraintException
        IncompleteBody InvalidArgument InvalidBucketAclWithObjectOwnership InvalidBucketName
        InvalidChunkSizeError InvalidDigest InvalidLocationConstraint InvalidPart InvalidPartOrder
        InvalidPolicyDocument InvalidRedirectLocation InvalidRequest InvalidStorageClass InvalidTag
        InvalidToken InvalidURI KeyTooLongError MalformedACLError MalformedPOSTRequest MalformedPolicy
        MalformedTrailerError MalformedXML MaxMessageLengthExceeded MetadataTooLarge MissingRequestBodyError
        RequestHeaderSectionTooLarge RequestTimeout UnexpectedContent UnresolvableGrantByEmailAddress
        XAmzContentSHA256Mismatch""",
    403: "AccessDenied AccessForbidden InvalidAccessKeyId RequestTimeTooSkewed SignatureDoesNotMatch",
    404: """NoSuchBucket NoSuchBucketPolicy NoSuchCORSConfiguration NoSuchKey NoSuchLifecycleConfiguration
        NoSuchObjectLockConfiguration NoSuchPublicAccessBlockConfiguration NoSuchTagSet NoSuchUpload
        NoSuchVersion NoSuchWebsiteConfiguration ObjectLockConfigurationNotFoundError
        OwnershipControlsNotFoundError ServerSideEncryptionConfigurationNotFoundError""",
    405: "MethodNotAllowed",
    409: """BucketAlreadyExists BucketAlreadyOwnedByYou BucketNotEmpty ConditionalRequestConflict
        InvalidBucketState OperationAborted""",
    411: "MissingContentLength",
    412: "PreconditionFailed",
    416: "InvalidRange InvalidPartNumber",
    500: "InternalError",
    501: "NotImplemented",
    503: "SlowDown ServiceUnavailable",
}


@pytest.mark.parametrize("status", WIRE)
def test_every_code_has_its_status(status):
    for code in WIRE[status].split():
        assert CODES[code][0] == status, code


def test_codes_and_messages_are_well_formed():
    for code, (status, message) in CODES.items():
        assert re.fullmatch(r"(KMS\.)?[A-Z][A-Za-z0-9]+", code)
        assert 300 <= status < 600 and message


def test_extras_and_headers():
    error = S3Error.of("NoSuchKey", Key="a/b")
    assert (error.status, error.extra, error.headers) == (404, {"Key": "a/b"}, {})
    assert str(error) == "NoSuchKey: The specified key does not exist."
    assert S3Error.of("InvalidRequest", "Because").message == "Because"
    assert error.with_headers(content_range="bytes */1") is error
    assert error.headers == {"content-range": "bytes */1"}
    argument = invalid_argument("max-keys", "x", "No")
    assert argument.extra == {"ArgumentName": "max-keys", "ArgumentValue": "x"}
    assert not_implemented("x-amz-acl").extra == {"Header": "x-amz-acl"}


def test_errors_do_not_share_their_extras():
    S3Error.of("NoSuchKey").extra["Key"] = "x"
    assert S3Error.of("NoSuchKey").extra == {}
