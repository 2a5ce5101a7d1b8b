"""What the catalog can refuse, in its own words.

This file knows neither S3's error codes nor Postgres' SQLSTATEs: operations choose the S3 code, the connection
tells apart what Postgres said.
"""


class CatalogError(Exception):
    """Every refusal of the catalog."""


class BucketMissing(CatalogError):
    """There is no bucket of this name (any more)."""


class BucketTaken(CatalogError):
    """CreateBucket met a bucket of this name; `owner` tells whose it is."""

    def __init__(self, owner: str) -> None:
        super().__init__(owner)
        self.owner = owner


class BucketNotEmpty(CatalogError):
    """DeleteBucket met a version."""


class WrongBucketState(CatalogError):
    """The bucket's versioning and its object lock would not go together."""


class TooManySettings(CatalogError):
    """The bucket has as many settings of this kind as it may have."""


class BucketChanged(CatalogError):
    """The bucket is not as it was when the write was decided on, or is gone: find it again and decide again.

    This one refusal leaves the bytes to the caller, who commits them again or discards them.
    """


class ConditionFailed(CatalogError):
    """A conditional write met another state; `condition` is the header's name ("If-Match", "If-None-Match")."""

    def __init__(self, condition: str) -> None:
        super().__init__(condition)
        self.condition = condition


class ObjectMissing(CatalogError):
    """If-Match on a key that has no object, or whose current version is a delete marker."""


class VersionMissing(CatalogError):
    """The key has no such version."""


class VersionLocked(CatalogError):
    """A retention or a legal hold protects the version."""


class AclChanged(CatalogError):
    """The version has another ACL than the one that was seen: perhaps it is another version, and another's."""


class SourceChanged(CatalogError):
    """CopyObject's source is not the version that was read any more: look it up again."""


class UploadMissing(CatalogError):
    """The upload was never made, or has been completed, aborted or expired."""


class PartMissing(CatalogError):
    """Complete lists a part that is not there, or that was sent again since it was looked up."""

    def __init__(self, part_number: int) -> None:
        super().__init__(part_number)
        self.part_number = part_number


class NodeRefused(CatalogError):
    """A chunkd may not join: its disk was cloned or rolled back."""


class Unavailable(CatalogError):
    """Nothing can be promised now: Postgres is away, the session was fenced, or a commit stayed ambiguous.

    The caller tells its client to come back later. Bytes handed to the catalog are looked after by the catalog.
    """
