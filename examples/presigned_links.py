"""Makes a link to download an object and a link to upload one; whoever has a link needs no keys.

    python examples/presigned_links.py BUCKET KEY [--seconds 3600]

Signature version 4 is asked for by name: for endpoints other than AWS's, boto3 still signs links with
version 2.
"""

from __future__ import annotations

import argparse

import boto3
from botocore.config import Config


def main() -> None:
    parser = argparse.ArgumentParser(description="Presigned GET and PUT links.")
    parser.add_argument("bucket")
    parser.add_argument("key")
    parser.add_argument("--seconds", type=int, default=3600, help="how long the links hold (7 days at most)")
    options = parser.parse_args()
    s3 = boto3.client("s3", config=Config(signature_version="s3v4"))
    where = {"Bucket": options.bucket, "Key": options.key}
    get = s3.generate_presigned_url("get_object", Params=where, ExpiresIn=options.seconds)
    put = s3.generate_presigned_url("put_object", Params=where, ExpiresIn=options.seconds)
    print(f"curl -fo FILE '{get}'")
    print(f"curl -fT FILE '{put}'")


if __name__ == "__main__":
    main()
