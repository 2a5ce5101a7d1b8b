"""Uploads a file in parts and takes up an interrupted upload where it stopped, from any machine.

    python examples/resume_upload.py FILE BUCKET KEY [--part-mib 16]

The endpoint and the keys come from the usual variables: AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID and
AWS_SECRET_ACCESS_KEY. The store remembers the upload; this script remembers nothing: it asks for the key's
unfinished upload, lists the parts that arrived, compares each with the file (a part's ETag is its MD5) and sends
only what is missing.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path
from typing import Any

import boto3

MIB = 1 << 20


def unfinished_upload(s3: Any, bucket: str, key: str) -> str | None:
    """The newest unfinished upload of exactly this key, if there is one."""
    found = []
    for page in s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, Prefix=key):
        found += [upload for upload in page.get("Uploads", []) if upload["Key"] == key]
    return max(found, key=lambda upload: upload["Initiated"])["UploadId"] if found else None


def arrived_parts(s3: Any, bucket: str, key: str, upload_id: str) -> dict[int, dict[str, Any]]:
    pages = s3.get_paginator("list_parts").paginate(Bucket=bucket, Key=key, UploadId=upload_id)
    return {part["PartNumber"]: part for page in pages for part in page.get("Parts", [])}


def upload(s3: Any, path: Path, bucket: str, key: str, part_bytes: int) -> None:
    upload_id = unfinished_upload(s3, bucket, key)
    if upload_id:
        arrived = arrived_parts(s3, bucket, key, upload_id)
        print(f"resuming upload {upload_id}: {len(arrived)} parts are there")
    else:
        upload_id, arrived = s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"], {}
        print(f"started upload {upload_id}")
    parts = []
    with path.open("rb") as file:
        number = 0
        while (piece := file.read(part_bytes)) or number == 0:
            number += 1
            etag = f'"{hashlib.md5(piece).hexdigest()}"'
            if arrived.get(number, {}).get("ETag") != etag:
                answer = s3.upload_part(Bucket=bucket, Key=key, UploadId=upload_id, PartNumber=number, Body=piece)
                etag = answer["ETag"]
                print(f"part {number}: sent")
            else:
                print(f"part {number}: already there")
            parts.append({"PartNumber": number, "ETag": etag})
    s3.complete_multipart_upload(Bucket=bucket, Key=key, UploadId=upload_id, MultipartUpload={"Parts": parts})
    print(f"complete: s3://{bucket}/{key}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Upload a file; resume where an earlier run stopped.")
    parser.add_argument("file", type=Path)
    parser.add_argument("bucket")
    parser.add_argument("key")
    parser.add_argument("--part-mib", type=int, default=16)
    options = parser.parse_args()
    upload(boto3.client("s3"), options.file, options.bucket, options.key, options.part_mib * MIB)


if __name__ == "__main__":
    main()
