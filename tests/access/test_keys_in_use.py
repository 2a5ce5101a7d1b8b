"""When a key was last used: requests that are of no bucket count, too."""

from __future__ import annotations

from tests.access.world import Holder, World, allow


def test_listing_buckets_is_a_use(world: World, main: Holder) -> None:
    user = world.user()
    user.let(allow("s3:ListAllMyBuckets"))
    asked = {"AccessKeyId": user.keys[0]}
    assert "LastUsedDate" not in main.client("iam").get_access_key_last_used(**asked)["AccessKeyLastUsed"]
    user.s3.list_buckets()
    used = main.client("iam").get_access_key_last_used(**asked)["AccessKeyLastUsed"]
    assert (used["ServiceName"], used["Region"]) == ("s3", "us-east-1")
