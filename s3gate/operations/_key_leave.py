"""May they use the key? Under SSE-KMS AWS asks for more than S3's own actions: whoever writes needs kms:GenerateDataKey
of the key, whoever reads kms:Decrypt.

Every key here has the policy that AWS gives to a new one: its account leaves it to the policies of its identities. The
keys are the installation's, so that "its account" is that of whoever asks: the root may, users and roles as far as
their own policies say. The key that is used when none is named is as AWS's own `aws/s3`: everybody may, through S3.
"""

from __future__ import annotations

from typing import Final

from s3gate.crypto.kms import Kms
from s3gate.iam.actions import object_arn
from s3gate.iam.context import Facts
from s3gate.iam.evaluate import NOTHING_ALLOWS, Asked, Decision, evaluate
from s3gate.operations._access import be_current, bearer_of
from s3gate.operations._failures import Denied
from s3gate.operations.exchange import Call

ENCRYPT: Final = "kms:GenerateDataKey"
DECRYPT: Final = "kms:Decrypt"


async def check_key(call: Call, kms: Kms, name: str, action: str) -> None:
    """AccessDenied, unless the caller may use the key of this name."""
    if name == await kms.resolve(""):
        return
    decision = _decide(call, kms.arn(name), action)
    if not decision.allowed:  # by policies that were remembered, maybe: what has been allowed meanwhile holds at once
        await be_current(call)
        decision = _decide(call, kms.arn(name), action)
    if not decision.allowed:
        raise Denied(decision)


def _decide(call: Call, key_arn: str, action: str) -> Decision:
    bearer, region = bearer_of(call), call.gate.settings.region
    who = bearer.principal
    if who.is_anonymous:
        return NOTHING_ALLOWS
    said = {
        "kms:viaservice": (f"s3.{region}.amazonaws.com",),
        "kms:calleraccount": (who.account_id,),
        "kms:encryptioncontext:aws:s3:arn": (object_arn(call.request.bucket, call.request.key),),
    }
    issued = 0 if call.identity is None else call.identity.issued
    facts = Facts(call.request, call.operation.name, who, call.auth, call.now, region, issued=issued, said=said)
    asked = Asked(who, action, key_arn, facts.values)
    return evaluate(asked, identity=bearer.identity, boundary=bearer.boundary, session=bearer.session)
