"""Every operation of S3, built or not, and how a request finds its own: the dispatch table.

Method, level (service, bucket or object), sub-resource (`?acl`), the parameters an operation cannot be
without, and one telling header decide. This file does not know what operations do, nor who performs them.

What has no row never falls through to an operation that has one: `PUT /bucket?unknown` must not create a
bucket. A parameter with a value that no row names is a client's own affair (`?x-id=PutObject`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from s3gate.s3.errors import S3Error, invalid_argument
from s3gate.s3.remarks import UNBUILT
from s3gate.s3.request import Headers, Query

SERVICE, BUCKET, OBJECT = "service", "bucket", "object"

PREFLIGHT = "OptionsObject"
POST_FORM = "PostObject"
BEYOND_THE_MODEL = frozenset((PREFLIGHT, POST_FORM))
"""What browsers ask for and AWS documents beside the model that the SDKs are made from. Nobody signs these requests: a
preflight grants nothing, and a form brings its signature in its body."""

MAKERS = frozenset(("CopyObject", "CreateMultipartUpload", "PostObject", "PutObject"))
"""What makes an object, and decides what it has beside its bytes."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One row. `needs` are parameters that must be there, `takes` all that mean something to it."""

    name: str
    method: str
    level: str
    subresource: str
    action: str
    takes: frozenset[str]
    needs: tuple[str, ...] = ()
    header: str = ""
    built: bool = False
    superseded: bool = False


# One line a row: built (+), not built (-) or an older form of another row (<); name; method; sub-resource or
# a dot; IAM action, where "=" is s3: and the name; then parameters, "!" before one that is needed, and ":"
# after a header that tells the operation from its neighbour. A line with "|" continues the last one.
_SERVICE = """
+ ListBuckets          GET . s3:ListAllMyBuckets max-buckets continuation-token prefix bucket-region
- ListDirectoryBuckets GET . s3express:ListAllMyDirectoryBuckets !max-directory-buckets continuation-token
"""

_BUCKET = """
+ CreateBucket                               PUT    .                   =
+ DeleteBucket                               DELETE .                   =
+ HeadBucket                                 HEAD   .                   s3:ListBucket
+ ListObjects                                GET    .                   s3:ListBucket delimiter
|    encoding-type marker max-keys prefix
+ ListObjectsV2                              GET    .                   s3:ListBucket !list-type delimiter
|    encoding-type max-keys prefix continuation-token fetch-owner start-after
+ PostObject                                 POST   .                   s3:PutObject
- WriteGetObjectResponse                     POST   .     s3-object-lambda:WriteGetObjectResponse
|    x-amz-request-route:
- GetBucketAbac                              GET    abac                =
- PutBucketAbac                              PUT    abac                =
+ GetBucketAccelerateConfiguration           GET    accelerate          s3:GetAccelerateConfiguration
+ PutBucketAccelerateConfiguration           PUT    accelerate          s3:PutAccelerateConfiguration
+ GetBucketAcl                               GET    acl                 =
+ PutBucketAcl                               PUT    acl                 =
+ DeleteBucketAnalyticsConfiguration         DELETE analytics           s3:PutAnalyticsConfiguration !id
+ GetBucketAnalyticsConfiguration            GET    analytics           s3:GetAnalyticsConfiguration !id
+ ListBucketAnalyticsConfigurations          GET    analytics           s3:GetAnalyticsConfiguration
|    continuation-token
+ PutBucketAnalyticsConfiguration            PUT    analytics           s3:PutAnalyticsConfiguration !id
+ DeleteBucketCors                           DELETE cors                s3:PutBucketCORS
+ GetBucketCors                              GET    cors                s3:GetBucketCORS
+ PutBucketCors                              PUT    cors                s3:PutBucketCORS
+ DeleteObjects                              POST   delete              s3:DeleteObject
+ DeleteBucketEncryption                     DELETE encryption          s3:PutEncryptionConfiguration
+ GetBucketEncryption                        GET    encryption          s3:GetEncryptionConfiguration
+ PutBucketEncryption                        PUT    encryption          s3:PutEncryptionConfiguration
+ DeleteBucketIntelligentTieringConfiguration DELETE intelligent-tiering s3:PutIntelligentTieringConfiguration
|    !id
+ GetBucketIntelligentTieringConfiguration   GET    intelligent-tiering s3:GetIntelligentTieringConfiguration
|    !id
+ ListBucketIntelligentTieringConfigurations GET    intelligent-tiering s3:GetIntelligentTieringConfiguration
|    continuation-token
+ PutBucketIntelligentTieringConfiguration   PUT    intelligent-tiering s3:PutIntelligentTieringConfiguration
|    !id
+ DeleteBucketInventoryConfiguration         DELETE inventory           s3:PutInventoryConfiguration !id
+ GetBucketInventoryConfiguration            GET    inventory           s3:GetInventoryConfiguration !id
+ ListBucketInventoryConfigurations          GET    inventory           s3:GetInventoryConfiguration
|    continuation-token
+ PutBucketInventoryConfiguration            PUT    inventory           s3:PutInventoryConfiguration !id
+ DeleteBucketLifecycle                      DELETE lifecycle           s3:PutLifecycleConfiguration
< GetBucketLifecycle                         GET    lifecycle           s3:GetLifecycleConfiguration
+ GetBucketLifecycleConfiguration            GET    lifecycle           s3:GetLifecycleConfiguration
< PutBucketLifecycle                         PUT    lifecycle           s3:PutLifecycleConfiguration
+ PutBucketLifecycleConfiguration            PUT    lifecycle           s3:PutLifecycleConfiguration
+ GetBucketLocation                          GET    location            =
- GetBucketLogging                           GET    logging             =
- PutBucketLogging                           PUT    logging             =
- UpdateBucketMetadataAnnotationTableConfiguration PUT    metadataAnnotationTable =
- CreateBucketMetadataConfiguration POST   metadataConfiguration s3:CreateBucketMetadataTableConfiguration
- DeleteBucketMetadataConfiguration DELETE metadataConfiguration s3:DeleteBucketMetadataTableConfiguration
- GetBucketMetadataConfiguration GET    metadataConfiguration s3:GetBucketMetadataTableConfiguration
- UpdateBucketMetadataInventoryTableConfiguration PUT    metadataInventoryTable =
- UpdateBucketMetadataJournalTableConfiguration PUT    metadataJournalTable =
- CreateBucketMetadataTableConfiguration POST   metadataTable       =
- DeleteBucketMetadataTableConfiguration DELETE metadataTable       =
- GetBucketMetadataTableConfiguration GET    metadataTable       =
+ DeleteBucketMetricsConfiguration           DELETE metrics             s3:PutMetricsConfiguration !id
+ GetBucketMetricsConfiguration              GET    metrics             s3:GetMetricsConfiguration !id
+ ListBucketMetricsConfigurations            GET    metrics             s3:GetMetricsConfiguration
|    continuation-token
+ PutBucketMetricsConfiguration              PUT    metrics             s3:PutMetricsConfiguration !id
< GetBucketNotification                      GET    notification        =
- GetBucketNotificationConfiguration         GET    notification        s3:GetBucketNotification
< PutBucketNotification                      PUT    notification        =
- PutBucketNotificationConfiguration         PUT    notification        s3:PutBucketNotification
+ GetObjectLockConfiguration                 GET    object-lock         s3:GetBucketObjectLockConfiguration
+ PutObjectLockConfiguration                 PUT    object-lock         s3:PutBucketObjectLockConfiguration
+ DeleteBucketOwnershipControls              DELETE ownershipControls   s3:PutBucketOwnershipControls
+ GetBucketOwnershipControls                 GET    ownershipControls   =
+ PutBucketOwnershipControls                 PUT    ownershipControls   =
+ DeleteBucketPolicy                         DELETE policy              =
+ GetBucketPolicy                            GET    policy              =
+ PutBucketPolicy                            PUT    policy              =
+ GetBucketPolicyStatus                      GET    policyStatus        =
+ DeletePublicAccessBlock                    DELETE publicAccessBlock   s3:PutBucketPublicAccessBlock
+ GetPublicAccessBlock                       GET    publicAccessBlock   s3:GetBucketPublicAccessBlock
+ PutPublicAccessBlock                       PUT    publicAccessBlock   s3:PutBucketPublicAccessBlock
- DeleteBucketReplication                    DELETE replication         s3:PutReplicationConfiguration
- GetBucketReplication                       GET    replication         s3:GetReplicationConfiguration
- PutBucketReplication                       PUT    replication         s3:PutReplicationConfiguration
+ GetBucketRequestPayment                    GET    requestPayment      =
+ PutBucketRequestPayment                    PUT    requestPayment      =
- CreateSession                              GET    session             s3express:CreateSession
+ DeleteBucketTagging                        DELETE tagging             s3:PutBucketTagging
+ GetBucketTagging                           GET    tagging             =
+ PutBucketTagging                           PUT    tagging             =
+ ListMultipartUploads                       GET    uploads             s3:ListBucketMultipartUploads
|    delimiter encoding-type key-marker max-uploads prefix upload-id-marker
+ GetBucketVersioning                        GET    versioning          =
+ PutBucketVersioning                        PUT    versioning          =
+ ListObjectVersions                         GET    versions            s3:ListBucketVersions delimiter
|    encoding-type key-marker max-keys prefix version-id-marker
+ DeleteBucketWebsite                        DELETE website             =
+ GetBucketWebsite                           GET    website             =
+ PutBucketWebsite                           PUT    website             =
"""

_OBJECT = """
+ OptionsObject                              OPTIONS .                  =
+ CopyObject              PUT    .            s3:PutObject x-amz-copy-source:
+ DeleteObject            DELETE .            = versionId
+ GetObject               GET    .            = versionId partNumber response-cache-control
|    response-content-disposition response-content-encoding response-content-language response-content-type
|    response-expires
+ HeadObject              HEAD   .            s3:GetObject versionId partNumber response-cache-control
|    response-content-disposition response-content-encoding response-content-language response-content-type
|    response-expires
+ PutObject               PUT    .            =
+ GetObjectAcl            GET    acl          = versionId
+ PutObjectAcl            PUT    acl          = versionId
- DeleteObjectAnnotation  DELETE annotation   = !annotationName versionId
- GetObjectAnnotation     GET    annotation   = !annotationName versionId
- ListObjectAnnotations   GET    annotation   = versionId max-annotation-results annotation-prefix
|    continuation-token
- PutObjectAnnotation     PUT    annotation   = !annotationName versionId
+ GetObjectAttributes     GET    attributes   = versionId
- UpdateObjectEncryption  PUT    encryption   = versionId
+ GetObjectLegalHold      GET    legal-hold   = versionId
+ PutObjectLegalHold      PUT    legal-hold   = versionId
- RenameObject            PUT    renameObject s3express:CreateSession
- RestoreObject           POST   restore      = versionId
+ GetObjectRetention      GET    retention    = versionId
+ PutObjectRetention      PUT    retention    = versionId
- SelectObjectContent     POST   select       s3:GetObject select-type
+ DeleteObjectTagging     DELETE tagging      = versionId
+ GetObjectTagging        GET    tagging      = versionId
+ PutObjectTagging        PUT    tagging      = versionId
- GetObjectTorrent        GET    torrent      =
+ AbortMultipartUpload    DELETE uploadId     =
+ CompleteMultipartUpload POST   uploadId     s3:PutObject
+ ListParts               GET    uploadId     s3:ListMultipartUploadParts max-parts part-number-marker
+ UploadPart              PUT    uploadId     s3:PutObject !partNumber
+ UploadPartCopy          PUT    uploadId     s3:PutObject x-amz-copy-source: !partNumber
+ CreateMultipartUpload   POST   uploads      s3:PutObject
"""


def _read_rows(level: str, text: str) -> Iterator[Operation]:
    for line in text.strip().replace("\n|", " ").splitlines():
        mark, name, method, subresource, action, *words = line.split()
        header = "".join(word[:-1] for word in words if word.endswith(":"))
        needs = tuple(word[1:] for word in words if word.startswith("!"))
        yield Operation(
            name=name,
            method=method,
            level=level,
            subresource="" if subresource == "." else subresource,
            action="s3:" + name if action == "=" else action,
            takes=frozenset(word.lstrip("!") for word in words if not word.endswith(":")),
            needs=needs,
            header=header,
            built=mark == "+",
            superseded=mark == "<",
        )


OPERATIONS: dict[str, Operation] = {
    row.name: row
    for level, text in ((SERVICE, _SERVICE), (BUCKET, _BUCKET), (OBJECT, _OBJECT))
    for row in _read_rows(level, text)
}


def _routes() -> dict[tuple[str, str, str], tuple[Operation, ...]]:
    """The rows that share method, level and sub-resource, those with most conditions first."""
    routes: dict[tuple[str, str, str], list[Operation]] = {}
    for row in OPERATIONS.values():
        if not row.superseded:
            routes.setdefault((row.method, row.level, row.subresource), []).append(row)
    return {
        route: tuple(sorted(rows, key=lambda row: -len(row.needs) - bool(row.header))) for route, rows in routes.items()
    }


_ROUTES = _routes()
SUBRESOURCES = frozenset(row.subresource for row in OPERATIONS.values()) - {""}
_PARAMETERS = frozenset().union(*(row.takes for row in OPERATIONS.values()))
# Parameters that change which bytes an operation touches: ignoring one would read or write something else.
_WEIGHTY = frozenset(("annotationName", "partNumber", "versionId"))
# What S3 has words of its own for, where a sub-resource is asked of the wrong thing.
_MISPLACED = {
    ("GET", BUCKET, "torrent"): ("RequestTorrentOfBucketError", None),
    ("GET", OBJECT, "logging"): ("NoLoggingStatusForKey", None),
    ("GET", OBJECT, "versions"): ("InvalidRequest", "There is no such thing as the ?versions sub-resource for a key"),
}
_METHODS = {
    (level, subresource): tuple(m for m, at, of in _ROUTES if (at, of) == (level, subresource))
    for _, level, subresource in _ROUTES
}


def resolve(method: str, has_bucket: bool, has_key: bool, query: Query, headers: Headers) -> Operation:
    """The row of this request. Raises NotImplemented, MethodNotAllowed or InvalidArgument."""
    level = OBJECT if has_key else BUCKET if has_bucket else SERVICE
    if method == "OPTIONS":
        return OPERATIONS[PREFLIGHT]
    subresource = _subresource(query) if query.raw else ""
    rows = _ROUTES.get((method, level, subresource))
    if rows is None:
        raise _no_row(method, level, subresource)
    for row in rows:
        if (not row.header or row.header in headers) and all(name in query for name in row.needs):
            break
    else:
        missing = next(name for name in row.needs if name not in query)
        if missing == "partNumber":  # an upload itself cannot be put
            raise _no_row(method, level, subresource)
        raise invalid_argument(missing, "", f"This operation needs the parameter {missing}.")
    if query.raw:
        _check_parameters(row, query)
    return row


def refusal(row: Operation) -> S3Error:
    """The answer of an operation that is not built: its name, always."""
    reason = UNBUILT.get(row.name)
    message = f"{row.name} is not implemented{': ' + reason if reason else ''}."
    return S3Error.of("NotImplemented", message, Operation=row.name)


def _subresource(query: Query) -> str:
    """The one name in the query that stands for a sub-resource, or "". Two of them contradict each other."""
    found = ""
    for name, value in query:
        if name in SUBRESOURCES:
            if found and name != found:
                first, second = sorted((found, name))
                message = f"Conflicting query string parameters: {first}, {second}"
                raise invalid_argument("ResourceType", first, message)
            found = name
        elif not value and name not in _PARAMETERS and not name.lower().startswith("x-amz-"):
            raise _unknown(name)
    return found


def _check_parameters(row: Operation, query: Query) -> None:
    for name in query.names():
        if name in _WEIGHTY and name not in row.takes:
            raise _not_taken(name, query.get(name) or "")
    if "list-type" in row.needs and query.get("list-type") != "2":
        value = query.get("list-type") or ""
        raise invalid_argument("list-type", value, "Invalid List Type specified in Request")


def _not_taken(name: str, value: str) -> S3Error:
    """In S3's words, which names the parameter by itself where a part number comes without its upload."""
    if name == "partNumber":
        return invalid_argument(name, name, "This operation does not accept partNumber without uploadId")
    what = "version-id" if name == "versionId" else name
    return invalid_argument(name, value, f"This operation does not accept a {what}.")


def _no_row(method: str, level: str, subresource: str) -> S3Error:
    methods = _METHODS.get((level, subresource))
    if methods is None:
        refused = _MISPLACED.get((method, level, subresource))
        return _unknown(subresource) if refused is None else S3Error.of(*refused)
    resource = "UPLOAD" if subresource == "uploadId" else (subresource or level).upper()
    error = S3Error.of("MethodNotAllowed", Method=method, ResourceType=resource)
    return error.with_headers(allow=", ".join([each for each in methods if each != method]))


def _unknown(name: str) -> S3Error:
    return S3Error.of("NotImplemented", f"The sub-resource {name} is not implemented here.", Resource=f"?{name}")
