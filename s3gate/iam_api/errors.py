"""What IAM and STS say when they refuse."""

from __future__ import annotations

from typing import Final

from s3gate.s3.errors import S3Error

_STATUS: Final = {
    "AccessDenied": 403,
    "InvalidClientTokenId": 403,
    "ExpiredToken": 403,
    "IDPRejectedClaim": 403,
    "NoSuchEntity": 404,
    "EntityAlreadyExists": 409,
    "DeleteConflict": 409,
    "LimitExceeded": 409,
    "ServiceFailure": 500,
    "ServiceUnavailable": 503,
}


def refusal(code: str, message: str) -> S3Error:
    """With AWS's code. What is not in the table is a fault of the request's form: 400."""
    return S3Error(code, _STATUS.get(code, 400), message)


def no_such(what: str) -> S3Error:
    """`The user with name X`"""
    return refusal("NoSuchEntity", f"{what} cannot be found.")


def exists(message: str) -> S3Error:
    return refusal("EntityAlreadyExists", message)


def conflict(what: str) -> S3Error:
    """`must delete access keys first`"""
    return refusal("DeleteConflict", f"Cannot delete entity, {what}.")


def limit(quota: str, most: int) -> S3Error:
    return refusal("LimitExceeded", f"Cannot exceed quota for {quota}: {most}")


def invalid(parameter: str, value: str | None, constraint: str) -> S3Error:
    """What the service's front says of a value that its model does not allow."""
    said = "null" if value is None else f"'{value}'"
    return refusal(
        "ValidationError",
        f"1 validation error detected: Value {said} at '{shown_name(parameter)}' failed to satisfy constraint: "
        f"{constraint}",
    )


def shown_name(parameter: str) -> str:
    """How refusals write the name of a parameter."""
    return parameter[:1].lower() + parameter[1:]
