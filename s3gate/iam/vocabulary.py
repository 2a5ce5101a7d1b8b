"""The words that policies may use: a bucket's S3's actions, by what they act on, and the condition keys; a role's trust
policy those by which a role is assumed; an identity's ARNs of any service.

From AWS's service authorization reference for S3 and its list of global keys. This file does not know what any of
them means; a policy with another word is refused, as AWS refuses it, rather than kept and never matched.
"""

from __future__ import annotations

from functools import lru_cache

from s3gate.iam.patterns import wild

_ON_OBJECTS = """
AbortMultipartUpload BypassGovernanceRetention DeleteObject DeleteObjectAnnotation DeleteObjectTagging
DeleteObjectVersion DeleteObjectVersionTagging GetObject GetObjectAcl GetObjectAnnotation GetObjectAttributes
GetObjectLegalHold GetObjectRetention GetObjectTagging GetObjectTorrent GetObjectVersion GetObjectVersionAcl
GetObjectVersionAttributes GetObjectVersionForReplication GetObjectVersionTagging GetObjectVersionTorrent
InitiateReplication ListMultipartUploadParts ListObjectAnnotations ObjectOwnerOverrideToBucketOwner PutObject
PutObjectAcl PutObjectAnnotation PutObjectLegalHold PutObjectRetention PutObjectTagging PutObjectVersionAcl
PutObjectVersionTagging ReplicateDelete ReplicateObject ReplicateTags RestoreObject UpdateObjectEncryption
"""
_ON_BUCKETS = """
CreateBucket CreateBucketMetadataTableConfiguration DeleteBucket DeleteBucketMetadataTableConfiguration
DeleteBucketPolicy DeleteBucketWebsite GetAccelerateConfiguration GetAnalyticsConfiguration GetBucketAbac
GetBucketAcl GetBucketCORS GetBucketLocation GetBucketLogging GetBucketMetadataTableConfiguration
GetBucketNotification GetBucketObjectLockConfiguration GetBucketOwnershipControls GetBucketPolicy
GetBucketPolicyStatus GetBucketPublicAccessBlock GetBucketRequestPayment GetBucketTagging GetBucketVersioning
GetBucketWebsite GetEncryptionConfiguration GetIntelligentTieringConfiguration GetInventoryConfiguration
GetLifecycleConfiguration GetMetricsConfiguration GetReplicationConfiguration ListBucket
ListBucketMultipartUploads ListBucketVersions ListTagsForResource PutAccelerateConfiguration
PutAnalyticsConfiguration PutBucketAbac PutBucketAcl PutBucketCORS PutBucketLogging PutBucketNotification
PutBucketObjectLockConfiguration PutBucketOwnershipControls PutBucketPolicy PutBucketPublicAccessBlock
PutBucketRequestPayment PutBucketTagging PutBucketVersioning PutBucketWebsite PutEncryptionConfiguration
PutIntelligentTieringConfiguration PutInventoryConfiguration PutLifecycleConfiguration PutMetricsConfiguration
PutReplicationConfiguration TagResource UntagResource UpdateBucketMetadataAnnotationTableConfiguration
UpdateBucketMetadataInventoryTableConfiguration UpdateBucketMetadataJournalTableConfiguration
"""
_S3_KEYS = """
AccessGrantsInstanceArn AccessPointNetworkOrigin DataAccessPointAccount DataAccessPointArn if-match if-none-match
InventoryAccessibleOptionalFields LocationConstraint ObjectCreationOperation RequestObjectTagKeys ResourceAccount
TlsVersion VersionId authType delimiter locationconstraint max-keys object-lock-legal-hold object-lock-mode
object-lock-remaining-retention-days object-lock-retain-until-date prefix signatureAge signatureversion
versionid x-amz-acl x-amz-content-sha256 x-amz-copy-source x-amz-grant-full-control x-amz-grant-read
x-amz-grant-read-acp x-amz-grant-write x-amz-grant-write-acp x-amz-metadata-directive x-amz-object-ownership
x-amz-server-side-encryption x-amz-server-side-encryption-aws-kms-key-id
x-amz-server-side-encryption-customer-algorithm x-amz-storage-class x-amz-website-redirect-location
"""
_GLOBAL_KEYS = """
CalledVia CalledViaFirst CalledViaLast CurrentTime EpochTime FederatedProvider MultiFactorAuthAge
MultiFactorAuthPresent PrincipalAccount PrincipalArn PrincipalIsAWSService PrincipalOrgID PrincipalOrgPaths
PrincipalServiceName PrincipalServiceNamesList PrincipalType Referer RequestedRegion ResourceAccount ResourceOrgID
ResourceOrgPaths SecureTransport SourceAccount SourceArn SourceIdentity SourceIp SourceOrgID SourceOrgPaths
SourceOwner SourceVpc SourceVpcArn SourceVpce TagKeys TokenIssueTime UserAgent VpcSourceIp VpceAccount VpceOrgID
VpceOrgPaths ViaAWSService userid username
"""
# Keys that only some actions have, and those actions. All other keys belong to every request.
_LIMITED_KEYS = {
    "delimiter max-keys prefix": "ListBucket ListBucketMultipartUploads ListBucketVersions",
    "VersionId": """
        DeleteObjectVersion DeleteObjectVersionTagging GetObjectVersion GetObjectVersionAcl GetObjectVersionAttributes
        GetObjectVersionTagging GetObjectVersionTorrent PutObjectVersionAcl PutObjectVersionTagging
    """,
    "ExistingObjectTag": """
        DeleteObjectTagging DeleteObjectVersionTagging GetObject GetObjectAcl GetObjectAttributes GetObjectTagging
        GetObjectVersion GetObjectVersionAcl GetObjectVersionAttributes GetObjectVersionTagging PutObjectAcl
        PutObjectTagging PutObjectVersionAcl PutObjectVersionTagging
    """,
    "RequestObjectTag RequestObjectTagKeys": """
        BypassGovernanceRetention PutObject PutObjectTagging PutObjectVersionTagging ReplicateObject ReplicateTags
    """,
    """x-amz-acl x-amz-grant-full-control x-amz-grant-read x-amz-grant-read-acp x-amz-grant-write
    x-amz-grant-write-acp""": """
        BypassGovernanceRetention CreateBucket PutBucketAcl PutObject PutObjectAcl PutObjectVersionAcl
    """,
    """x-amz-copy-source x-amz-metadata-directive x-amz-server-side-encryption
    x-amz-server-side-encryption-aws-kms-key-id x-amz-server-side-encryption-customer-algorithm x-amz-storage-class
    x-amz-website-redirect-location""": "BypassGovernanceRetention PutObject ReplicateObject",
    "object-lock-mode object-lock-remaining-retention-days object-lock-retain-until-date": """
        BypassGovernanceRetention PutObject PutObjectRetention ReplicateObject
    """,
    "object-lock-legal-hold": "BypassGovernanceRetention PutObject PutObjectLegalHold ReplicateObject",
    "if-match": "DeleteObject DeleteObjectVersion PutObject",
    "if-none-match ObjectCreationOperation": "PutObject",
    "LocationConstraint": "CreateBucket",
    "x-amz-object-ownership": "CreateBucket PutBucketOwnershipControls",
    "InventoryAccessibleOptionalFields": "PutInventoryConfiguration",
}
_KEYS_OF_TAGS = frozenset(
    (
        "aws:principaltag",
        "aws:requesttag",
        "aws:resourcetag",
        "s3:buckettag",
        "s3:existingobjecttag",
        "s3:requestobjecttag",
    )
)

_OF_TRUST = """
AssumeRole AssumeRoleWithSAML AssumeRoleWithWebIdentity SetContext SetSourceIdentity TagSession
"""
_PARTITIONS = frozenset(("*", "aws", "aws-cn", "aws-us-gov"))

OBJECT_ACTIONS = frozenset(f"s3:{name}" for name in _ON_OBJECTS.split())
BUCKET_ACTIONS = frozenset(f"s3:{name}" for name in _ON_BUCKETS.split())
CONDITION_KEYS = frozenset(f"s3:{name}".lower() for name in _S3_KEYS.split()) | frozenset(
    f"aws:{name}".lower() for name in _GLOBAL_KEYS.split()
)
_ACTIONS_OF_KEY = {
    f"s3:{key}".lower(): frozenset(f"s3:{action}".lower() for action in actions.split())
    for keys, actions in _LIMITED_KEYS.items()
    for key in keys.split()
}
_LOWERED = {name.lower(): name in OBJECT_ACTIONS for name in OBJECT_ACTIONS | BUCKET_ACTIONS}


@lru_cache(maxsize=1024)
def levels(pattern: str) -> tuple[bool, bool]:
    """Whether an action, or a pattern of them, names some that act on buckets, and some that act on objects."""
    matches = wild(pattern.lower())
    found = {on_object for name, on_object in _LOWERED.items() if matches(name)}
    return False in found, True in found


def is_of_trust(pattern: str) -> bool:
    """Whether an action, or a pattern of them, is about assuming a role."""
    matches = wild(pattern.lower())
    return any(matches(f"sts:{name}".lower()) for name in _OF_TRUST.split())


def fault_of_arn(arn: str) -> str:
    """What is wrong with the resource of an identity's policy, in AWS's words; empty if nothing is."""
    parts = arn.split(":", 5)
    if arn == "*":
        return ""
    if len(parts) < 6 or parts[0] != "arn":
        return f'Resource {arn} must be in ARN format or "*".'
    _, partition, service, region, _, name = parts
    if partition not in _PARTITIONS:
        return f'Partition "{partition}" is not valid for resource "{arn}".'
    if service == "s3" and region and not name.startswith("accesspoint/"):
        return f"Resource {arn} can not contain region information."
    if service == "iam" and region:
        return f"IAM resource {arn} cannot contain region information."
    return ""


def is_condition_key(name: str) -> bool:
    """Whether a bucket policy may ask for it."""
    stem, slash, tag = name.partition("/")
    if slash:
        return tag != "" and stem.lower() in _KEYS_OF_TAGS
    return name.lower() in CONDITION_KEYS


@lru_cache(maxsize=1024)
def has_key(pattern: str, key: str) -> bool:
    """Whether requests for an action, or for one that a pattern names, have a condition key (canonical) to be asked."""
    actions = _ACTIONS_OF_KEY.get(key.partition("/")[0])
    return actions is None or pattern == "*" or any(map(wild(pattern.lower()), actions))
