"""pyarrow's own S3 file system, which is the C++ SDK of AWS: Parquet data sets, moves, streams."""

from __future__ import annotations

import random

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from pyarrow import fs

from tests.clients.programs import Endpoint

ROWS = 200_000


@pytest.fixture
def files(endpoint: Endpoint, bucket: str) -> fs.SubTreeFileSystem:
    trust = {"tls_ca_file_path": endpoint.ca_file} if endpoint.ca_file else {}
    system = fs.S3FileSystem(
        access_key=endpoint.access_key,
        secret_key=endpoint.secret_key,
        endpoint_override=endpoint.host,
        scheme="https" if endpoint.secure else "http",
        region="us-east-1",
        allow_bucket_creation=True,
        allow_bucket_deletion=True,
        **trust,
    )
    system.create_dir(bucket)
    return fs.SubTreeFileSystem(bucket, system)


def test_a_data_set_of_parquet_files(files: fs.SubTreeFileSystem) -> None:
    table = pa.table({"number": range(ROWS), "colour": [("red", "green", "blue")[n % 3] for n in range(ROWS)]})
    parts = ds.partitioning(pa.schema([("colour", pa.string())]), flavor="hive")
    ds.write_dataset(table, "table", filesystem=files, format="parquet", partitioning=parts)
    data = ds.dataset("table", filesystem=files, partitioning=parts)
    assert len(data.files) == 3 and data.count_rows() == ROWS
    found = data.to_table(columns=["number"], filter=(ds.field("colour") == "green") & (ds.field("number") < 100))
    assert sorted(found["number"].to_pylist()) == list(range(1, 100, 3))
    ds.write_dataset(
        table.slice(0, 30),
        "table",
        filesystem=files,
        format="parquet",
        partitioning=parts,
        existing_data_behavior="delete_matching",
    )
    assert ds.dataset("table", filesystem=files).count_rows() == 30


def test_one_larger_file_by_row_groups_and_as_a_stream(files: fs.SubTreeFileSystem) -> None:
    noise = random.Random(0).randbytes(12 << 20)
    blocks = [noise[start : start + 1024] for start in range(0, len(noise), 1024)]
    table = pa.table({"noise": blocks, "number": range(len(blocks))})
    pq.write_table(table, "large.parquet", filesystem=files, compression="none", row_group_size=1000)
    found = pq.ParquetFile("large.parquet", filesystem=files)
    assert found.read_row_group(3)["number"].to_pylist() == list(range(3000, 4000))
    assert pq.read_table("large.parquet", filesystem=files) == table
    with files.open_output_stream("a b/ü+%") as out:
        out.write(noise)
    with files.open_input_file("a b/ü+%") as file:
        file.seek(5 << 20)
        assert file.read(100) == noise[5 << 20 :][:100]


def test_what_file_systems_do(files: fs.SubTreeFileSystem) -> None:
    files.create_dir("a/b")
    for name in ("a/b/one", "a/two"):
        with files.open_output_stream(name, metadata={"Content-Type": "text/x"}) as out:
            out.write(name.encode())
    files.copy_file("a/two", "a/three")
    files.move("a/two", "moved")
    listed = files.get_file_info(fs.FileSelector("", recursive=True))
    kinds = {info.path: info.type for info in listed}
    folder, file = fs.FileType.Directory, fs.FileType.File
    assert kinds == {"a": folder, "a/b": folder, "a/b/one": file, "a/three": file, "moved": file}
    assert files.get_file_info("a/two").type == fs.FileType.NotFound
    with pytest.raises(FileNotFoundError):
        files.open_input_file("a/two")
    files.delete_dir("a")
    assert [info.path for info in files.get_file_info(fs.FileSelector("", recursive=True))] == ["moved"]
