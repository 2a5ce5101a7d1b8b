"""The storage class of Django sites: files are saved, opened, listed and linked to."""

from __future__ import annotations

import urllib.request

import django.conf
import pytest
from botocore.config import Config
from django.core.files.base import ContentFile
from storages.backends.s3 import S3Storage

from tests.clients.programs import Endpoint


@pytest.fixture
def storage(endpoint: Endpoint, bucket: str) -> S3Storage:
    if not django.conf.settings.configured:
        django.conf.settings.configure(USE_TZ=True)
    keys = {"access_key": endpoint.access_key, "secret_key": endpoint.secret_key, "region_name": "us-east-1"}
    storage = S3Storage(
        **keys,
        bucket_name=bucket,
        endpoint_url=endpoint.url,
        verify=endpoint.ca_file,
        location="media",
        file_overwrite=False,
        gzip=True,
        object_parameters={"CacheControl": "max-age=60", "ServerSideEncryption": "AES256"},
        client_config=Config(signature_version="s3v4"),
    )
    storage.connection.create_bucket(Bucket=bucket)
    return storage


def test_files_of_a_site(storage: S3Storage, endpoint: Endpoint, bucket: str) -> None:
    assert storage.save("a b/photo.bin", ContentFile(b"first")) == "a b/photo.bin"
    other = storage.save("a b/photo.bin", ContentFile(b"second"))
    assert other != "a b/photo.bin" and storage.exists(other) and not storage.exists("none")
    with storage.open("a b/photo.bin") as file:
        assert file.read() == b"first"
    storage.save("style.css", ContentFile(b"body {} " * 1000))
    head = storage.bucket.Object("media/style.css")
    assert (head.content_encoding, head.cache_control, head.content_type) == ("gzip", "max-age=60", "text/css")
    with storage.open("style.css") as file:
        assert file.read() == b"body {} " * 1000
    with urllib.request.urlopen(storage.url("a b/photo.bin"), context=endpoint.tls_context()) as answer:
        assert answer.read() == b"first"
    folders, files = storage.listdir("")
    assert (folders, files) == (["a b"], ["style.css"])
    assert storage.size("a b/photo.bin") == 5 and storage.get_modified_time("style.css").tzinfo
    storage.delete(other)
    assert not storage.exists(other)


def test_a_large_file_is_written_in_parts(storage: S3Storage) -> None:
    block = bytes(range(256)) * 4096
    with storage.open("large", "wb") as file:
        for _ in range(12):
            file.write(block)
    assert storage.size("large") == 12 * len(block)
    with storage.open("large") as file:
        file.seek(5 * len(block))
        assert file.read(len(block)) == block
