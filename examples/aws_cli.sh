#!/usr/bin/env bash
# A round trip with the aws cli: make a bucket, upload, list, link, download, compare, remove.
# AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY say where and who.
#
#   bash examples/aws_cli.sh BUCKET FILE
set -euo pipefail
bucket=$1 file=$2
export AWS_DEFAULT_REGION=${AWS_DEFAULT_REGION:-us-east-1}
aws() { command aws --endpoint-url "$AWS_ENDPOINT_URL" "$@"; } # version 2 before 2.13 does not read the variable
copy=$(mktemp)
trap 'rm -f "$copy"' EXIT

aws s3 mb "s3://$bucket"
aws s3 cp "$file" "s3://$bucket/example/file"
aws s3 ls --recursive "s3://$bucket/example/"
aws s3 presign "s3://$bucket/example/file" --expires-in 600
aws s3 cp "s3://$bucket/example/file" "$copy"
cmp "$file" "$copy" && echo "the copy is the same"
aws s3 rm --recursive "s3://$bucket/example/"
aws s3 rb "s3://$bucket"
