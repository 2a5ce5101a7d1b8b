"""The credential report: who has which keys."""

from __future__ import annotations

import csv

from tests.iam_api.fix_door import ROOT, Running
from tests.iam_api.test_sts import ACCOUNT, code_of, new_user


def test_the_credential_report(door: Running) -> None:
    iam, key = door.client("iam"), new_user(door)
    name = key["UserName"]
    second = iam.create_access_key(UserName=name)["AccessKey"]["AccessKeyId"]
    iam.update_access_key(UserName=name, AccessKeyId=second, Status="Inactive")
    door.client("sts", key).get_caller_identity()
    assert iam.generate_credential_report()["State"] == "COMPLETE"
    found = iam.get_credential_report()
    assert found["ReportFormat"] == "text/csv" and found["GeneratedTime"]
    text = found["Content"].decode()
    lines = {line["user"]: line for line in csv.DictReader(text.splitlines())}
    root, user = lines["<root_account>"], lines[name]
    assert root["arn"] == f"arn:aws:iam::{ACCOUNT}:root" and root["access_key_1_active"] == "true"
    assert user["arn"].endswith(f":user/{name}") and user["mfa_active"] == user["password_enabled"] == "false"
    active = {user[f"access_key_{number}_active"]: user[f"access_key_{number}_last_used_service"] for number in (1, 2)}
    assert active == {"true": "sts", "false": "N/A"}
    assert None not in user and key["AccessKeyId"] not in text and ROOT.access_key not in text
    assert code_of(door.client("iam", key).get_credential_report) == "AccessDenied"
