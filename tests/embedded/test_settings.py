"""Settings are read once, refuse what they cannot use, and never show a secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from s3gate.settings import (
    MIB,
    Address,
    Settings,
    SettingsError,
    parse_address,
    parse_size,
    unknown_variables,
    variables,
)


def test_defaults_need_no_variable() -> None:
    settings = Settings.read({})
    assert settings.listen == Address("127.0.0.1", 9000)
    assert settings.segment_bytes == 63 * MIB and settings.segment_bytes % (6 * settings.unit_bytes) == 0
    assert settings == Settings()


def test_an_empty_variable_is_an_absent_one() -> None:
    assert Settings.read(dict.fromkeys(variables(), "")) == Settings()


def test_what_is_given_is_taken() -> None:
    settings = Settings.read(
        {
            "S3GATE_LISTEN": "[::1]:80",
            "S3GATE_CACHE_BYTES": "1GiB",
            "S3GATE_SIGV2": "off",
            "S3GATE_BASE_DOMAINS": "S3.example.org, s3.local ,",
            "S3GATE_WRITE_WAIT_SECONDS": "0.5",
            "S3GATE_ACCESS_LOG": "off",
        }
    )
    assert settings.listen == Address("::1", 80) and str(settings.listen) == "[::1]:80"
    assert settings.cache_bytes == 1 << 30
    assert settings.sigv2 is False
    assert settings.base_domains == ("s3.example.org", "s3.local")
    assert settings.write_wait_seconds == 0.5
    assert settings.access_log == ""


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("S3GATE_LISTEN", "9000"),
        ("S3GATE_LISTEN", "::1:9000"),
        ("S3GATE_LISTEN", "host:70000"),
        ("S3GATE_CACHE_BYTES", "1 banana"),
        ("S3GATE_CACHE_BYTES", "-1"),
        ("S3GATE_READ_WAIT_SECONDS", "-1"),
        ("S3GATE_READ_WAIT_SECONDS", "nan"),
        ("S3GATE_READ_WAIT_SECONDS", "soon"),
        ("S3GATE_SIGV2", "perhaps"),
        ("S3GATE_PLACEMENT", "random"),
        ("S3GATE_LAYOUT", "4+2"),
        ("S3GATE_LISTEN_FD", "x"),
        ("S3GATE_FLOOR_BYTES", "0"),
        ("S3GATE_FLOOR_BYTES", "1MiB"),
        ("S3GATE_SEGMENT_BYTES", "64MiB"),
        ("S3GATE_UNIT_BYTES", "16MiB"),
        ("S3GATE_TLS_CERT", "only-one"),
        ("S3GATE_ROOT_ACCESS_KEY", "only-one"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(variable: str, value: str) -> None:
    with pytest.raises(SettingsError, match=variable):
        Settings.read({variable: value})


def test_secrets_are_not_shown() -> None:
    settings = Settings(root_access_key="AK", root_secret_key="hidden-1", cluster_key="hidden-2")
    assert "AK" in repr(settings) and "hidden" not in repr(settings)


def test_the_cluster_key_comes_from_the_variable_or_the_file(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("from-file\n")
    assert Settings(cluster_key_file=file).cluster_key_text() == "from-file"
    assert Settings(cluster_key_file=file, cluster_key="given").cluster_key_text() == "given"
    for settings in (Settings(), Settings(cluster_key_file=tmp_path / "absent")):
        with pytest.raises(SettingsError, match="S3GATE_CLUSTER_KEY"):
            settings.cluster_key_text()


def test_a_misspelt_variable_is_noticed() -> None:
    assert unknown_variables({"S3GATE_REGOIN": "x", "S3GATE_REGION": "y", "PATH": "z"}) == ["S3GATE_REGOIN"]


def test_sizes_and_addresses() -> None:
    assert [parse_size(text) for text in ("0", "12", "64KiB", "2 mib", "1B")] == [0, 12, 65536, 2 * MIB, 1]
    assert parse_address(":9000") == Address("0.0.0.0", 9000)
