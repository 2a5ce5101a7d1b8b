"""What `s3gate up` tells a person: where the store is, and four lines to copy. Only text."""

from __future__ import annotations

import shlex
import sys
from urllib.parse import urlsplit

from s3gate.embedded.running import Running


def banner(running: Running) -> str:
    """The message shown when the store takes requests."""
    return f"""
s3gate is ready

  endpoint     {running.endpoint}
  access key   {running.access_key}
  secret key   {running.secret_key}
  region       {running.region}
  data         {running.data_dir}

Lines to copy:

  aws     {aws_line(running)}
  boto3   {boto3_line(running)}
  rclone  {rclone_line(running)}
  s3cmd   {s3cmd_line(running)}

Running: one Postgres, nodes: {running.nodes}, gates: {running.gates}, one worker. To add a node:

  {node_line(running)}

Not a safety net: {running.nodes} nodes in one directory are one disk, and layout 6+0 keeps a single copy.
Lose the disk and the objects are lost. Every group of nodes here is reported as not safe.

ctrl-C stops everything; starting again finds everything."""


def aws_line(running: Running) -> str:
    """List the buckets with the aws cli."""
    return (
        f"AWS_ACCESS_KEY_ID={running.access_key} "
        f"AWS_SECRET_ACCESS_KEY={shlex.quote(running.secret_key)} "
        f"AWS_DEFAULT_REGION={running.region} aws --endpoint-url {shlex.quote(running.endpoint)} s3 ls"
    )


def boto3_line(running: Running) -> str:
    """A client in Python."""
    return (
        f'boto3.client("s3", endpoint_url="{running.endpoint}", region_name="{running.region}", '
        f'aws_access_key_id="{running.access_key}", aws_secret_access_key="{running.secret_key}")'
    )


def rclone_line(running: Running) -> str:
    """List the buckets with rclone, without a configuration file."""
    remote = (
        f":s3,provider=Other,endpoint='{running.endpoint}',region={running.region},"
        f"access_key_id={running.access_key},secret_access_key='{running.secret_key}':"
    )
    return f'rclone lsd "{remote}"'


def s3cmd_line(running: Running) -> str:
    """List the buckets with s3cmd; a host-bucket without a pattern means path style."""
    url = urlsplit(running.endpoint)
    host, tls = shlex.quote(url.netloc), "--ssl" if url.scheme == "https" else "--no-ssl"
    return (
        f"s3cmd --host={host} --host-bucket={host} {tls} --region={running.region} "
        f"--access_key={running.access_key} --secret_key={shlex.quote(running.secret_key)} ls"
    )


def node_line(running: Running) -> str:
    """Start one more chunkd by hand, with the Python that runs us."""
    return (
        f"{shlex.quote(sys.executable)} -m chunkd serve --data-dir DIR --listen 127.0.0.1:0 "
        f"--join {running.internal_url} --cluster-key-file {shlex.quote(running.cluster_key_file)}"
    )
