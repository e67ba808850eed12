"""`verify`, `approve`, `sign` and `export` as they are typed: what is printed, and exit codes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness.cli.app import app
from harness.errors import HarnessError
from harness.pipeline.conclude import conclude

RECORDED = Path(__file__).parents[1] / "recorded" / "scripted"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = Path(shutil.copytree(RECORDED, tmp_path / "run"))
    conclude(folder)
    return folder


def typed(*words: object) -> tuple[int, str]:
    """Run a command; an error that a user can mend is its code and message."""
    result = CliRunner().invoke(app, [str(word) for word in words])
    if isinstance(result.exception, HarnessError):
        return result.exception.exit_code, str(result.exception)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def test_a_decision_that_holds_and_one_that_does_not(run: Path):
    code, text = typed("verify", run)
    assert (code, "holds: evidence" in text, "approved by nobody yet" in text) == (0, True, True)
    latency = run / "cells/quick@box/trial-01/requests/interactive/latency.npy"
    data = bytearray(latency.read_bytes())
    data[-1] ^= 1
    latency.write_bytes(data)
    code, text = typed("verify", run)
    assert code == 6
    assert "differs: cells/quick@box/trial-01/requests/interactive/latency.npy: was changed (same size)" in text
    assert "does not hold" in text


def test_approving_and_signing(run: Path, tmp_path: Path):
    from cryptography.hazmat.primitives import serialization as s
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    (tmp_path / "key").write_bytes(key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption()))
    public = key.public_key().public_bytes(s.Encoding.OpenSSH, s.PublicFormat.OpenSSH)
    (tmp_path / "key.pub").write_bytes(public)
    assert typed("approve", run, "--by", " ")[0] == 2
    assert typed("approve", run, "--by", "Ada", "--note", "for edge boards")[0] == 0
    assert typed("sign", run, "--key", tmp_path / "nothing", "--by", "Grace")[0] == 2
    assert "approved by Ada" in typed("verify", run)[1]  # and not by Grace: nothing was signed
    assert typed("sign", run, "--key", tmp_path / "key", "--by", "Grace")[0] == 0
    code, text = typed("verify", run, "--key", tmp_path / "key.pub")
    assert (code, "approved by Ada, Grace" in text) == (0, True)
    assert "not checked" in typed("verify", run)[1]
    (run / "decision.json.sig").write_bytes(b"0" * 64)
    assert typed("verify", run, "--key", tmp_path / "key.pub")[0] == 6
    assert typed("sign", run, "--key", tmp_path / "key", "--note", "why")[0] == 2


def test_a_decision_that_replaces_an_approved_one_says_where_that_is_kept(run: Path, tmp_path: Path):
    typed("approve", run, "--by", "Ada")
    (tmp_path / "p.toml").write_text("[policy.objectives]\nlatency_p50_ms = { weight = 1, target = 1, limit = 9 }\n")
    code, text = typed("rank", run, "--policy", tmp_path / "p.toml")
    assert code == 0
    assert "kept: " in text
    assert "decision.superseded-1.json" in text


def test_formats_are_written_into_the_runs_folder_and_leave_its_decision_whole(run: Path):
    code, text = typed("export", run, "csv", "prometheus", "grafana", "bencher", "otlp", "pytest-benchmark")
    assert code == 0, text
    assert {"measurements.csv", "harness.prom", "grafana"} <= {path.name for path in (run / "export").iterdir()}
    assert typed("verify", run)[0] == 0


def test_wrong_formats_and_places_are_named(run: Path, tmp_path: Path):
    assert typed("export", run, "promethius") == (
        2,
        "harness export: no format 'promethius' (did you mean 'prometheus'?; all: bencher, csv, grafana, mlflow, otlp, "
        "parquet, prometheus, pytest-benchmark)",
    )
    assert typed("export", run, "csv", "parquet", "--out", tmp_path / "x")[0] == 2
    (tmp_path / "file").write_text("")
    code, text = typed("export", run, "csv", "--out", tmp_path / "file" / "x.csv")
    assert (code, "cannot" in text) == (2, True)
    (run / "ranking.json").unlink()
    assert "not ranked yet" in typed("export", run, "csv")[1]


def test_a_folder_of_a_newer_version_half_a_copy_and_no_run_are_named(run: Path, tmp_path: Path):
    text = (run / "run.json").read_text()
    for command in (("rank",), ("show",), ("verify",), ("export", "csv")):
        words = (command[0], run, *command[1:])
        (run / "run.json").write_text(json.dumps({**json.loads(text), "schema": "harness/run/99"}))
        code, said = typed(*words)
        assert code in (2, 6)
        assert "newer version" in said
        (run / "run.json").write_text(text[: len(text) // 2])
        code, said = typed(*words)
        assert code in (2, 6)
        assert "run.json" in said
        (run / "run.json").write_text(text)
    shutil.rmtree(run / "cells")
    code, said = typed("verify", run)
    assert (code, "is missing" in said) == (6, True)
    assert typed("verify", tmp_path / "nothing")[0] == 2
