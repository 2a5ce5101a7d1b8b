"""Access control lists: who owns a bucket or an object, and to whom the owner grants what.

An ACL knows accounts (by canonical id) and three groups, never a user. It is kept as a short line of text; nothing at
all is the commonest one, private to the bucket's owner. This file knows neither XML nor what a request is made of
beside its headers, and does not decide who may change an ACL.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

from s3gate.iam.principal import Principal
from s3gate.iam.statement import Named
from s3gate.s3.errors import S3Error, invalid_argument
from s3gate.s3.request import Headers

FULL_CONTROL: Final = "FULL_CONTROL"
READ: Final = "READ"
WRITE: Final = "WRITE"
READ_ACP: Final = "READ_ACP"
WRITE_ACP: Final = "WRITE_ACP"

ALL_USERS: Final = "http://acs.amazonaws.com/groups/global/AllUsers"
AUTHENTICATED_USERS: Final = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"
LOG_DELIVERY: Final = "http://acs.amazonaws.com/groups/s3/LogDelivery"
EC2: Final = "6aa5a366c34c1cbe25dc49211496e913e0351eb0e8c37aa3477e40942ec6b97c"
"""The account that aws-exec-read grants to; nobody here is it."""
NOBODY: Final = "65a011a29cdf8ec533ec3d1ccaae921c"
"""By this canonical id AWS names the owner of what an anonymous request has written."""

MAX_GRANTS = 100
CANNED_HEADER = "x-amz-acl"
GRANT_HEADERS = {
    "x-amz-grant-full-control": FULL_CONTROL,
    "x-amz-grant-read": READ,
    "x-amz-grant-write": WRITE,
    "x-amz-grant-read-acp": READ_ACP,
    "x-amz-grant-write-acp": WRITE_ACP,
}
PUBLIC_GROUPS = frozenset((ALL_USERS, AUTHENTICATED_USERS))

_LETTERS = {FULL_CONTROL: "F", READ: "R", WRITE: "W", READ_ACP: "r", WRITE_ACP: "w"}
_PERMISSIONS = {letter: permission for permission, letter in _LETTERS.items()}
_MARKS = {ALL_USERS: "*", AUTHENTICATED_USERS: "+", LOG_DELIVERY: "@"}
_GROUPS = {mark: group for group, mark in _MARKS.items()}
_CANONICAL_ID = re.compile(r"[0-9a-f]{64}|[0-9a-f]{32}").fullmatch
_GRANT = re.compile(r'\s*(id|uri|emailAddress)\s*=\s*(?:"([^"]*)"|([^",\s]+))\s*(?:,|$)', re.IGNORECASE)
_EMAIL: Final = "email:"

# Which permission of the ACL answers which action (user guide: "Mapping of ACL permissions and access policy
# permissions"). Who may write into a bucket may also go on with an upload that is under way and drop it.
ON_BUCKET = {
    "s3:ListBucket": READ,
    "s3:ListBucketVersions": READ,
    "s3:ListBucketMultipartUploads": READ,
    "s3:PutObject": WRITE,
    "s3:DeleteObject": WRITE,
    "s3:AbortMultipartUpload": WRITE,
    "s3:ListMultipartUploadParts": WRITE,
    "s3:GetBucketAcl": READ_ACP,
    "s3:PutBucketAcl": WRITE_ACP,
}
ON_OBJECT = {
    "s3:GetObject": READ,
    "s3:GetObjectVersion": READ,
    "s3:GetObjectTorrent": READ,
    "s3:GetObjectAcl": READ_ACP,
    "s3:GetObjectVersionAcl": READ_ACP,
    "s3:PutObjectAcl": WRITE_ACP,
    "s3:PutObjectVersionAcl": WRITE_ACP,
}
_ALWAYS_THE_OWNERS = frozenset((READ_ACP, WRITE_ACP))


class Grant(NamedTuple):
    """`grantee` is a canonical id or the URI of a group; until `settled`, also an e-mail address."""

    grantee: str
    permission: str


@dataclass(frozen=True, slots=True)
class Acl:
    """An owner, and grants in the order in which they were made. The owner's own are among them."""

    owner: str
    grants: tuple[Grant, ...]

    @property
    def is_public(self) -> bool:
        """Whether it grants anything to everybody, or to everybody with an account anywhere."""
        return any(grant.grantee in PUBLIC_GROUPS for grant in self.grants)

    def grants_to_others(self, owner: str) -> bool:
        """Whether it gives anything to anybody but this account."""
        return any(grant.grantee != owner for grant in self.grants)

    def names(self, permission: str, who: Principal, *, ignore_public: bool = False) -> Named:
        """How closely it grants the permission to the one who asks."""
        best = Named.NOT
        if who.canonical_id == self.owner and permission in _ALWAYS_THE_OWNERS:
            best = _of_account(who)
        for grantee, granted in self.grants:
            if granted != permission and granted != FULL_CONTROL:
                continue
            if grantee in PUBLIC_GROUPS:
                if not ignore_public and (grantee == ALL_USERS or not who.is_anonymous):
                    best = max(best, Named.ROLE if who.is_limited else Named.EXACTLY)
            elif grantee == who.canonical_id:
                best = max(best, _of_account(who))
        return best


def _of_account(who: Principal) -> Named:
    return Named.EXACTLY if who.is_root else Named.ACCOUNT


def private(owner: str) -> Acl:
    """The owner's full control, and nothing else."""
    return Acl(owner, (Grant(owner, FULL_CONTROL),))


# --- as it is kept


def pack(acl: Acl, bucket_owner: str) -> bytes:
    """The form that is kept; b"" for what is private to the bucket's owner."""
    if acl == private(bucket_owner):
        return b""
    words = [_LETTERS[permission] + _MARKS.get(grantee, grantee) for grantee, permission in acl.grants]
    return " ".join([acl.owner, *words]).encode("ascii")


def unpack(kept: bytes, bucket_owner: str) -> Acl:
    """The ACL again."""
    return _unpack(kept) if kept else private(bucket_owner)


@lru_cache(maxsize=1024)
def _unpack(kept: bytes) -> Acl:
    owner, *words = kept.decode("ascii").split(" ")
    return Acl(owner, tuple(Grant(_GROUPS.get(word[1:], word[1:]), _PERMISSIONS[word[0]]) for word in words))


def owner_of(kept: bytes, bucket_owner: str) -> str:
    """Whose it is."""
    return kept.partition(b" ")[0].decode("ascii") if kept else bucket_owner


# --- as it is asked for


def canned(name: str, owner: str, bucket_owner: str, *, on_bucket: bool) -> Acl:
    """The ACL of this name. InvalidArgument if there is none, or not for this."""
    more = {
        "private": [],
        "public-read": [Grant(ALL_USERS, READ)],
        "public-read-write": [Grant(ALL_USERS, READ), Grant(ALL_USERS, WRITE)],
        "authenticated-read": [Grant(AUTHENTICATED_USERS, READ)],
        "aws-exec-read": [Grant(EC2, READ)],
        "bucket-owner-read": [Grant(bucket_owner, READ)],
        "bucket-owner-full-control": [Grant(bucket_owner, FULL_CONTROL)],
    }
    if on_bucket:
        more["log-delivery-write"] = [Grant(LOG_DELIVERY, WRITE), Grant(LOG_DELIVERY, READ_ACP)]
    grants = more.get(name)
    if grants is None:
        raise invalid_argument(CANNED_HEADER, name, "")  # S3 has no words for it (versity/versitygw#1379)
    if on_bucket or owner == bucket_owner:  # of a bucket, its owner is the owner
        grants = [grant for grant in grants if grant.grantee != bucket_owner]
    return Acl(owner, (Grant(owner, FULL_CONTROL), *grants))


def asks(headers: Headers) -> bool:
    """Whether the headers name an ACL."""
    return any(name == b"x-amz-acl" or name.startswith(b"x-amz-grant-") for name in headers.names())


def of_headers(headers: Headers, owner: str, bucket_owner: str, *, on_bucket: bool) -> Acl | None:
    """The ACL that the headers name, not settled yet; None if they name none."""
    grants = list(_header_grants(headers))
    name = headers.get(CANNED_HEADER)
    if name is not None and grants:
        raise S3Error.of("InvalidRequest", "Specifying both Canned ACLs and Header Grants is not allowed")
    if name is not None:
        return canned(name, owner, bucket_owner, on_bucket=on_bucket)
    return with_grants(owner, grants) if grants else None


def with_grants(owner: str, grants: list[Grant]) -> Acl:
    """These grants and no other."""
    if len(grants) > MAX_GRANTS:
        raise S3Error.of("InvalidRequest", f"The maximum of {MAX_GRANTS} grants per ACL is exceeded.")
    return Acl(owner, tuple(dict.fromkeys(grants)))


def _header_grants(headers: Headers) -> Iterator[Grant]:
    for name, permission in GRANT_HEADERS.items():
        text = headers.get(name)
        if text is None:
            continue
        place = 0
        while place < len(text) or not text:
            match = _GRANT.match(text, place)
            if match is None:
                raise invalid_argument(name, text, "Argument format not recognized")
            kind, quoted, bare = match.groups()
            yield Grant(grantee(kind.lower(), bare if quoted is None else quoted, IN_HEADERS), permission)
            place = match.end()


class Culprits(NamedTuple):
    """How errors name what said who a grant is to."""

    account: str
    group: str


IN_BODY = Culprits("CanonicalUser/ID", "Group/URI")
IN_HEADERS = Culprits("id", "uri")  # versity/versitygw#1384


def grantee(kind: str, value: str, culprits: Culprits = IN_BODY) -> str:
    """One who is named by `id`, `uri` or `emailaddress`, as grants have it."""
    if kind == "emailaddress":
        return _EMAIL + value
    if kind == "uri":
        if value not in _MARKS:
            raise invalid_argument(culprits.group, value, "Invalid group uri")
        return value
    if _CANONICAL_ID(value) is None:
        raise invalid_argument(culprits.account, value, "Invalid id")
    return value


def accounts_named(acl: Acl) -> tuple[set[str], set[str]]:
    """The canonical ids and the e-mail addresses of the accounts it grants to, which must exist."""
    named = [grant.grantee for grant in acl.grants if grant.grantee not in _MARKS and grant.grantee != EC2]
    emails = {each.removeprefix(_EMAIL) for each in named if each.startswith(_EMAIL)}
    return {each for each in named if not each.startswith(_EMAIL)}, emails


def settled(
    acl: Acl, exists: Callable[[str], bool], by_email: Callable[[str], str | None], culprits: Culprits = IN_HEADERS
) -> Acl:
    """The ACL with every account known to exist, and e-mail addresses replaced by the accounts they belong to."""
    found = []
    for name, permission in acl.grants:
        if name.startswith(_EMAIL):
            account = by_email(name.removeprefix(_EMAIL))
            if account is None:
                raise S3Error.of("UnresolvableGrantByEmailAddress")
            found.append(Grant(account, permission))
        elif name in _MARKS or name in (EC2, acl.owner) or exists(name):
            found.append(Grant(name, permission))
        else:
            raise invalid_argument(culprits.account, name, "Invalid id")
    return Acl(acl.owner, tuple(dict.fromkeys(found)))
