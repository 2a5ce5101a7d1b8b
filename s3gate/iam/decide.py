"""May they? One request, everything it asks leave for, and everything that could give or refuse it.

Here the evaluator meets S3: ACLs are weighed as grants, object ownership says whose leave counts, the public access
block takes away what is public, and what does not exist is told only to who may list. It decides and does nothing:
whoever asks has looked up what there is to look up.

    root of the account that owns the bucket, and the bucket has no policy   -> `is_owners_root`, one comparison
    everything else                                                          -> `decide`
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from s3gate.iam import acl as acls
from s3gate.iam.acl import ON_BUCKET, ON_OBJECT, WRITE, Acl
from s3gate.iam.actions import Ask, ask_to_list
from s3gate.iam.context import Facts
from s3gate.iam.evaluate import NOTHING_ALLOWS, Asked, Decision, Verdict, evaluate
from s3gate.iam.kept import parse_kept
from s3gate.iam.principal import Principal
from s3gate.iam.public import is_public
from s3gate.iam.statement import Named, Policy
from s3gate.s3 import xml_access
from s3gate.s3.xml_access import BUCKET_OWNER_ENFORCED, NO_BLOCK, OBJECT_WRITER, Block

POLICY, ACL, OWNERSHIP, PUBLIC_ACCESS_BLOCK = "policy", "acl", "ownership", "public-access-block"
"""The kinds of a bucket's settings that are read here."""

# Never to be locked out of: the root of the owner's account may always look at the policy, replace and remove it.
_ALWAYS_ROOTS = frozenset(("s3:GetBucketPolicy", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy"))
# What acts on an object is its owner's to allow, but for making, replacing and removing it: that is the bucket owner's.
_BUCKET_OWNERS = frozenset(
    (
        "s3:AbortMultipartUpload",
        "s3:BypassGovernanceRetention",
        "s3:DeleteObject",
        "s3:DeleteObjectVersion",
        "s3:ListMultipartUploadParts",
        "s3:PutObject",
        "s3:PutObjectLegalHold",
        "s3:PutObjectRetention",
        "s3:RestoreObject",
    )
)


@dataclass(frozen=True, slots=True)
class BucketAccess:
    """What a bucket's settings say of who may do what."""

    owner: str
    """The canonical id of its account."""
    policy: Policy | None = None
    policy_is_public: bool = False
    acl: Acl | None = None
    """None: private."""
    ownership: str = OBJECT_WRITER
    block: Block = NO_BLOCK

    @property
    def enforced(self) -> bool:
        """Everything in it is its owner's, and ACLs say nothing."""
        return self.ownership == BUCKET_OWNER_ENFORCED

    @property
    def policy_gives(self) -> bool:
        """Whether the policy still lets other accounts in."""
        return not (self.block.restrict_buckets and self.policy_is_public)


@dataclass(frozen=True, slots=True)
class Bearer:
    """Who asks, with the policies that come with it."""

    principal: Principal
    identity: Sequence[Policy] = ()
    boundary: Policy | None = None
    session: Policy | None = None


def bucket_access(name: str, owner: str, settings: Mapping[str, bytes]) -> BucketAccess:
    """Read once for each set of documents. A bucket that was never told who owns its objects: their writers do."""
    documents = (settings.get(POLICY), settings.get(ACL), settings.get(OWNERSHIP), settings.get(PUBLIC_ACCESS_BLOCK))
    return _bucket_access(name, owner, *documents)


@lru_cache(maxsize=1024)
def _bucket_access(
    name: str, owner: str, policy: bytes | None, acl: bytes | None, ownership: bytes | None, block: bytes | None
) -> BucketAccess:
    read = None if policy is None else parse_kept(policy, "bucket", name)
    return BucketAccess(
        owner,
        read,
        read is not None and is_public(read),
        acls.unpack(acl, owner) if acl else None,
        OBJECT_WRITER if ownership is None else xml_access.ownership(ownership),
        NO_BLOCK if block is None else xml_access.public_access_block(block),
    )


def is_owners_root(bearer: Bearer, bucket: BucketAccess) -> bool:
    """Whether the one who asks may do everything with the bucket, and with every object that is the bucket owner's."""
    who = bearer.principal
    return who.is_root and who.canonical_id == bucket.owner and bucket.policy is None and bearer.session is None


def needs_object(asked: Iterable[Ask], bearer: Bearer, bucket: BucketAccess | None) -> bool:
    """Whether the answer may depend on the object: on its tags, its ACL, its owner, or that it is not there."""
    if bucket is None:
        return False
    policies = [each for each in (*bearer.identity, bearer.boundary, bearer.session, bucket.policy) if each is not None]
    for ask in asked:
        if not ask.on_object:
            continue
        if ask.action not in _BUCKET_OWNERS and not ask.creates and not bucket.enforced:
            return True
        if any(policy.needs_object_tags(ask.action) for policy in policies):
            return True
    return False


def decide(
    asked: Iterable[Ask],
    bearer: Bearer,
    bucket: BucketAccess | None,
    facts: Facts,
    object_acl: bytes | None = None,
) -> Decision:
    """The first refusal, or that everything is allowed. No bucket: one that is yet to be made, or all of them.

    `object_acl` is the ACL of the version that is asked for, as it is kept; None where there is none or nobody looked.
    The object's tags are among the facts.
    """
    decision = NOTHING_ALLOWS
    for ask in asked:
        decision = _decide_one(ask, bearer, bucket, facts, object_acl)
        if not decision.allowed:
            return decision
    return decision


def decide_absent(asked: Sequence[Ask], bearer: Bearer, bucket: BucketAccess, facts: Facts) -> Decision:
    """The same when it is known that there is no such object: nothing can be taken, and that it is not there is told
    to who may list the bucket, unless the action itself is denied."""
    for ask in asked:
        decision = _decide_one(ask, bearer, bucket, facts, None)
        if decision.verdict is Verdict.DENY:
            return decision
    return _decide_one(ask_to_list(asked[0].bucket), bearer, bucket, facts, None)


def _decide_one(
    ask: Ask, bearer: Bearer, bucket: BucketAccess | None, facts: Facts, object_acl: bytes | None
) -> Decision:
    who = bearer.principal
    question = Asked(who, ask.action, ask.arn, facts.values)
    if bucket is None:
        if who.is_anonymous:
            return NOTHING_ALLOWS
        return evaluate(question, identity=bearer.identity, boundary=bearer.boundary, session=bearer.session)
    owner = _owner(ask, bucket, object_acl)
    policy = bucket.policy
    if who.is_root and who.canonical_id == bucket.owner and ask.action in _ALWAYS_ROOTS:
        policy = None
    return evaluate(
        question,
        identity=bearer.identity,
        resource=policy,
        boundary=bearer.boundary,
        session=bearer.session,
        same_account=who.canonical_id == owner,
        granted=_granted(ask, who, bucket, object_acl),
        resource_allows=owner == bucket.owner and (bucket.policy_gives or who.canonical_id == owner),
    )


def _owner(ask: Ask, bucket: BucketAccess, object_acl: bytes | None) -> str:
    """Whose leave it takes: the bucket owner's, but of an object that another account owns."""
    if not object_acl or bucket.enforced or not ask.on_object or ask.creates or ask.action in _BUCKET_OWNERS:
        return bucket.owner
    return acls.owner_of(object_acl, bucket.owner)


def _granted(ask: Ask, who: Principal, bucket: BucketAccess, object_acl: bytes | None) -> Named:
    """What the ACL says that counts for this action."""
    if bucket.enforced:
        return Named.NOT
    ignore_public = bucket.block.ignore_acls
    if ask.creates and ask.action == "s3:PutObjectAcl":  # of one's own object, for who may write one
        return Named.NOT if bucket.acl is None else bucket.acl.names(WRITE, who, ignore_public=ignore_public)
    permission = ON_OBJECT.get(ask.action)
    if permission is not None:
        if not object_acl:
            return Named.NOT
        return acls.unpack(object_acl, bucket.owner).names(permission, who, ignore_public=ignore_public)
    permission = ON_BUCKET.get(ask.action)
    if permission is None or bucket.acl is None:
        return Named.NOT
    return bucket.acl.names(permission, who, ignore_public=ignore_public)
