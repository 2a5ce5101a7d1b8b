"""The keys of an account's root, the one that the installation was started with among them."""

from __future__ import annotations

from tests.iam_api.fix_door import ROOT, Running
from tests.iam_api.test_sts import code_of


def test_the_installations_own_key_is_listed_and_not_changed(door: Running) -> None:
    iam = door.client("iam")
    made = iam.create_access_key()["AccessKey"]["AccessKeyId"]
    listed = {one["AccessKeyId"]: one["Status"] for one in iam.list_access_keys()["AccessKeyMetadata"]}
    assert listed == {ROOT.access_key: "Active", made: "Active"}
    first = iam.list_access_keys(MaxItems=1)
    rest = iam.list_access_keys(MaxItems=1, Marker=first["Marker"])["AccessKeyMetadata"]
    assert {one["AccessKeyId"] for one in (*first["AccessKeyMetadata"], *rest)} == set(listed)
    own = {"AccessKeyId": ROOT.access_key}
    assert code_of(iam.delete_access_key, **own) == "AccessDenied"
    assert code_of(iam.update_access_key, **own, Status="Inactive") == "AccessDenied"
    iam.delete_access_key(AccessKeyId=made)
