"""Users with policies, made through IAM as anybody would, and clients that are them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from botocore.config import Config
from botocore.exceptions import ClientError

from tests.fix_store import Store, boto3_session, making_clients

Keys = Mapping[str, str]


def allow(action: Any, resource: Any, effect: str = "Allow", **more: Any) -> dict[str, Any]:
    return {"Effect": effect, "Action": action, "Resource": resource, **more}


def policy(*statements: Mapping[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


class Realm:
    """One store's identities."""

    def __init__(self, store: Store) -> None:
        self._store = store
        root = {"AccessKeyId": store.access_key, "SecretAccessKey": store.secret_key}
        self.iam = self.client("iam", root)
        self.sts = self.client("sts", root)

    def client(self, service: str, keys: Keys) -> Any:
        """Of whoever has these keys; an answer's AccessKey or Credentials."""
        with making_clients:
            return boto3_session().client(
                service,
                endpoint_url=self._store.endpoint,
                region_name=self._store.region,
                aws_access_key_id=keys["AccessKeyId"],
                aws_secret_access_key=keys["SecretAccessKey"],
                aws_session_token=keys.get("SessionToken"),
                config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
            )

    def user(self, name: str, *statements: Mapping[str, Any], **more: Any) -> Keys:
        """A new user with this policy of its own, and its keys."""
        self.iam.create_user(UserName=name, **more)
        if statements:
            self.iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=policy(*statements))
        keys: Keys = self.iam.create_access_key(UserName=name)["AccessKey"]
        return keys


def refused(call: Any, **arguments: Any) -> str:
    """The code of the refusal, which there must be."""
    try:
        answer = call(**arguments)
    except ClientError as error:
        return str(error.response["Error"].get("Code"))
    raise AssertionError(f"it was let in: {answer}")
