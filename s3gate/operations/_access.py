"""May they? Asked of every request, and once more by whoever finds that the bucket or an identity has changed since.

    authorize        the door asks: by the bucket's row, a remembered one where the operation's commit will compare it
    admit            the bucket is another than the one that was asked with: once more, with this one
    admit_to_object  an object was looked up, and its bucket with it: they decide, and nothing that was seen before
    ask              what a body turned out to want, and every key of a list
    ask_source       for what a copy reads, which is in a bucket of its own

What decides is in `s3gate/iam`; here is found what it has to know. The default is deny: an operation gets its bucket
from `find_bucket` or `find_object`, and they give out none that the request was not let into.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from s3gate.catalog.rows import BucketRow, ObjectRow
from s3gate.iam.actions import (
    ASKED_ELSEWHERE,
    Ask,
    ask_to_list,
    ask_to_see,
    asks,
    asks_of_copied_tags,
    asks_of_source,
)
from s3gate.iam.context import Facts
from s3gate.iam.decide import (
    Bearer,
    BucketAccess,
    bucket_access,
    decide,
    decide_absent,
    is_owners_root,
    needs_object,
)
from s3gate.iam.principal import ANONYMOUS
from s3gate.operations._failures import Denied, no_such_bucket
from s3gate.operations._paying import check_payer
from s3gate.operations.exchange import Call
from s3gate.s3 import versions
from s3gate.s3.errors import S3Error

# Their commit is refused when the bucket is another than the one that they were let into: a remembered row will do.
_COMPARING = frozenset(("CopyObject", "CreateMultipartUpload", "DeleteObject", "PutObject"))
# They look an object up first of all, and `find_object` lets them in, or does not, by what it has found.
_LOOKING = frozenset(
    (
        "DeleteObjectTagging",
        "GetObject",
        "GetObjectAcl",
        "GetObjectAttributes",
        "GetObjectLegalHold",
        "GetObjectRetention",
        "GetObjectTagging",
        "HeadObject",
        "PutObjectAcl",
        "PutObjectLegalHold",
        "PutObjectRetention",
        "PutObjectTagging",
    )
)
# What they want is in their bodies: they ask when they have read them.
_ASKING = ASKED_ELSEWHERE | {"CreateBucket", "PostObject"}
# Whoever signs nothing may not do these, whatever is public: "must be authenticated and signed", says AWS of copies.
_COPIES = "Anonymous users cannot copy objects.  Please authenticate."
_NOT_FOR_NOBODY = {
    "CopyObject": _COPIES,
    "CreateMultipartUpload": "Anonymous users cannot initiate multipart uploads.  Please authenticate.",
    "UploadPartCopy": _COPIES,
}
_NOBODY = Bearer(ANONYMOUS)


async def authorize(call: Call) -> None:
    """AccessDenied, or what the request names is not there; else the request is let into its bucket as it is now."""
    name = call.operation.name
    if call.identity is None and name in _NOT_FOR_NOBODY:
        raise S3Error.of("AccessDenied", _NOT_FOR_NOBODY[name])
    if not call.request.bucket or name == "CreateBucket":
        await _authorize_unplaced(call)
    elif name in _COMPARING:
        await _authorize_by_memory(call)
    elif name not in _LOOKING and name != "OptionsObject":
        await admit(call, await _bucket_of(call, fresh=True))


async def _authorize_unplaced(call: Call) -> None:
    """Of no bucket that there is: for those who have signed, and a preflight."""
    name = call.operation.name
    if name == "OptionsObject":
        return
    if call.identity is None:
        raise S3Error.of("AccessDenied")
    await be_current(call)
    if name not in _ASKING:
        await ask(call, asks(call.operation, call.request, ""), None)
    call.gate.identities.note_used(call.identity, "s3", call.now)


async def _authorize_by_memory(call: Call) -> None:
    row = await _bucket_of(call, fresh=False)
    try:
        await admit(call, row)
    except S3Error:
        # What has been allowed meanwhile holds at once, too: nobody is sent away by a remembered row.
        fresh = await _bucket_of(call, fresh=True)
        if (fresh.bucket_id, fresh.config_number) == (row.bucket_id, row.config_number):
            raise
        await admit(call, fresh)


async def _bucket_of(call: Call, *, fresh: bool) -> BucketRow:
    row = await call.gate.catalog.find_bucket(call.request.bucket, fresh=fresh)
    if row is None:
        raise no_such_bucket(call.request.bucket)
    return row


async def admit(call: Call, row: BucketRow) -> None:
    """Let the request into the bucket as this row has it, whatever was decided with another one."""
    await _be_as_new_as(call, row.identity_number)
    if call.said is not None or call.operation.name not in _ASKING:
        bearer, access = bearer_of(call), _access(row)
        if not is_owners_root(bearer, access):
            await ask(call, asks(call.operation, call.request, row.owner), row)
    _let_in(call, row)


async def admit_to_object(call: Call, row: BucketRow, found: ObjectRow | None) -> None:
    """Let the request into the bucket, at this version of the object that it names, or at there being none."""
    await _be_as_new_as(call, row.identity_number)
    bearer, access = bearer_of(call), _access(row)
    if not _is_all_theirs(bearer, access, found):
        asked = asks(call.operation, call.request, row.owner)
        reads = call.operation.method in ("GET", "HEAD")
        _demand(asked, bearer, access, await _facts(call, row, None), found, reads=reads)
    _let_in(call, row)


def _let_in(call: Call, row: BucketRow) -> None:
    check_payer(call, row)
    call.bucket = row
    if call.identity is not None:
        call.gate.identities.note_used(call.identity, "s3", call.now)


async def ask(
    call: Call,
    asked: Sequence[Ask],
    row: BucketRow | None,
    *,
    key: bytes | None = None,
    version_id: str | None = None,
) -> None:
    """AccessDenied unless all of it is allowed. No row: of a bucket that is yet to be made, or of all of them.

    `key` and `version_id` where they are not the request's own; "" for a key without a version.
    """
    bearer = bearer_of(call)
    if row is None:
        decision = decide(asked, bearer, None, await _facts(call, None, version_id))
        if not decision.allowed:
            raise Denied(decision)
        return
    access = _access(row)
    if is_owners_root(bearer, access):
        return
    found = None
    if needs_object(asked, bearer, access):
        found = await _look(call, row, call.request.key if key is None else key, version_id)
    _demand(asked, bearer, access, await _facts(call, row, version_id), found)


async def ask_said(call: Call, said: Mapping[str, tuple[str, ...]]) -> None:
    """Of an operation whose body says what it wants: now that it was read, and whenever it is let in again."""
    call.said = said
    if call.bucket is not None:
        await admit(call, call.bucket)
    else:
        await ask(call, asks(call.operation, call.request, ""), None)


async def ask_source(call: Call, row: BucketRow, key: bytes, found: ObjectRow | None, version_id: str | None) -> None:
    """For reading what is copied."""
    await _be_as_new_as(call, row.identity_number)
    bearer, access = bearer_of(call), _access(row)
    if not _is_all_theirs(bearer, access, found):
        asked = asks_of_source(row.name, key, versioned=version_id is not None)
        _demand(asked, bearer, access, await _facts(call, row, version_id), found, reads=True)
    check_payer(call, row)


async def ask_copied_tags(call: Call, row: BucketRow, source: BucketRow, found: ObjectRow, *, named: bool) -> None:
    """For taking the source's tags along: to read them there, and to put them here."""
    bearer = bearer_of(call)
    reading, writing = asks_of_copied_tags(call.request, source.name, found.key, versioned=named)
    for bucket, asked, tagged in ((source, reading, found), (row, writing, None)):
        access = _access(bucket)
        if not _is_all_theirs(bearer, access, tagged):
            _demand(asked, bearer, access, await _facts(call, bucket, None), tagged)


async def may_list(call: Call, row: BucketRow) -> bool:
    """Whether they may be told that a key is not there."""
    access = _access(row)
    bearer = bearer_of(call)
    if is_owners_root(bearer, access):
        return True
    return decide([ask_to_list(row.name)], bearer, access, await _facts(call, row, None)).allowed


async def may_see(call: Call, row: BucketRow, found: ObjectRow, action: str) -> bool:
    """Whether they could ask for this by an operation of its own: what they read tells it them only then."""
    bearer, access = bearer_of(call), _access(row)
    if _is_all_theirs(bearer, access, found):
        return True
    facts = await _facts(call, row, None)
    facts.object_tags = found.tags
    return decide([ask_to_see(call.request, action)], bearer, access, facts, found.acl).allowed


def account_of_caller(call: Call) -> str:
    """The canonical id of the account that asks."""
    return bearer_of(call).principal.canonical_id


def bearer_of(call: Call) -> Bearer:
    """Who asks, with what was given to them."""
    return _NOBODY if call.identity is None else call.identity.bearer


def _access(row: BucketRow) -> BucketAccess:
    return bucket_access(row.name, row.owner, row.settings)


def _is_all_theirs(bearer: Bearer, access: BucketAccess, found: ObjectRow | None) -> bool:
    """Whether it is the root of the account that owns both the bucket and the object: then nobody has to be asked."""
    return is_owners_root(bearer, access) and (found is None or not found.acl or access.enforced)


def _demand(
    asked: Sequence[Ask],
    bearer: Bearer,
    access: BucketAccess,
    facts: Facts,
    found: ObjectRow | None,
    *,
    reads: bool = False,
) -> None:
    """AccessDenied unless all of it is allowed. `reads`: that nothing was found means that there is nothing to read."""
    if found is not None and not found.marker:
        facts.object_tags = found.tags
        decision = decide(asked, bearer, access, facts, found.acl)
    elif reads:
        decision = decide_absent(asked, bearer, access, facts)
    else:
        decision = decide(asked, bearer, access, facts)
    if not decision.allowed:
        raise Denied(decision)


async def _look(call: Call, row: BucketRow, key: bytes, version_id: str | None) -> ObjectRow | None:
    text = version_id if version_id is not None else call.request.query.get("versionId")
    version = versions.decode(text) if text else None
    return (await call.gate.catalog.find_object(row.name, key, version))[1]


async def _facts(call: Call, row: BucketRow | None, version_id: str | None) -> Facts:
    owner = ""
    if row is not None:
        owner = await call.gate.identities.account_of(row.owner, row.identity_number)
    return Facts(
        call.request,
        call.operation.name,
        bearer_of(call).principal,
        call.auth,
        call.now,
        call.gate.settings.region,
        owner,
        version_id,
        issued=0 if call.identity is None else call.identity.issued,
        said=call.said or {},
    )


async def _be_as_new_as(call: Call, number: int) -> None:
    """Who signed, as of this number of the identities: a key that was revoked opens nothing any more."""
    identity = call.identity
    if identity is not None and identity.number < number:
        credential = identity.credential
        call.identity = await call.gate.identities.find(credential.access_key, credential.session_token, number)
        _check_still(call, credential.secret_key)


async def be_current(call: Call) -> None:
    """The same where no row of a bucket says what the number is."""
    identity = call.identity
    if identity is not None:
        credential = identity.credential
        call.identity = await call.gate.identities.current(credential.access_key, credential.session_token)
        _check_still(call, credential.secret_key)


def _check_still(call: Call, secret_key: str) -> None:
    if call.identity is None or call.identity.credential.secret_key != secret_key:
        raise S3Error.of("InvalidAccessKeyId", AWSAccessKeyId=call.auth.access_key)
