"""The selection record: what is in it, what becomes of approvals, and that it proves itself."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import msgspec
import pytest

from harness.errors import EvidenceError, SpecError
from harness.evidence.manifest import manifest_of
from harness.pipeline.conclude import conclude
from harness.pipeline.decision import content_digest, read_decision, sealed, write_approval, write_decision
from harness.pipeline.sign import PASSWORD, check_signature, private_key, sign
from harness.pipeline.verify import differences, verify
from harness.spec.policy import Limit, Objective, Policy

from .flips import flips

RECORDED = Path(__file__).parents[1] / "recorded" / "scripted"
OTHER = Policy(
    limits={"latency_p50_ms": Limit(max=2)}, objectives={"latency_p50_ms": Objective(weight=1, target=1, limit=9)}
)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A ranked run."""
    folder = Path(shutil.copytree(RECORDED, tmp_path / "run"))
    conclude(folder)
    return folder


def codes(run: Path) -> set[str]:
    return {found.code for found in verify(run) if found.severity == "error"}


def test_a_record_says_what_was_decided_by_what_from_what(run: Path):
    decision, ranking = read_decision(run), json.loads((run / "ranking.json").read_text())
    assert [(row.candidate, row.place, row.status) for row in decision.ranking] == [
        (row["candidate"], row["place"], row["status"]) for row in ranking["rows"]
    ]
    assert decision.candidates.keys() == {"quick", "slow", "broken", "absent"}
    assert decision.policy == conclude(run).policy
    assert decision.own_policy
    assert decision.evidence.files == len(manifest_of(run).files) > 20
    assert decision.decided_by.keys() == {"harness", "python", "numpy", "scipy"}
    assert decision.hosts == ()  # the recorded launcher did not tell
    assert decision.approvals == ()
    assert codes(run) == set()


def test_the_same_decision_again_keeps_the_record_with_its_approvals(run: Path):
    write_approval(run, "Ada", "2026-01-01T00:00:00+00:00", "for the edge boards")
    before = (run / "decision.json").read_bytes()
    conclude(run)
    assert (run / "decision.json").read_bytes() == before
    assert codes(run) == set()


def test_another_decision_sets_the_approved_one_aside(run: Path):
    write_approval(run, "Ada", "2026-01-01T00:00:00+00:00")
    (run / "decision.json.sig").write_bytes(b"a signature")
    before = (run / "decision.json").read_bytes()
    conclude(run, OTHER)
    assert read_decision(run).approvals == ()
    assert not (run / "decision.json.sig").exists()
    assert (run / "decision.superseded-1.json").read_bytes() == before
    assert (run / "decision.superseded-1.json.sig").read_bytes() == b"a signature"
    assert codes(run) == set()
    conclude(run)
    assert sorted(path.name for path in run.glob("decision*")) == [
        *("decision.json", "decision.superseded-1.json", "decision.superseded-1.json.sig"),
    ]


def test_a_decision_by_another_policy_is_verified_by_that_policy(run: Path):
    conclude(run, OTHER)
    assert not read_decision(run).own_policy
    assert codes(run) == set()


def test_evidence_that_came_later_is_found(run: Path):
    shutil.copytree(run / "cells/quick@box/trial-01", run / "cells/quick@box/trial-09")
    assert {"file_added", "ranking_differs"} <= codes(run)
    conclude(run)
    assert codes(run) == set()


def test_an_edited_record_is_found_whatever_was_edited(run: Path):
    text = (run / "decision.json").read_text()
    edits = {
        '"place": 1': ('"place": 2', {"record_damaged", "ranking_differs"}),
        '"suite_sha256": "': ('"suite_sha256": "0', {"record_damaged", "record_differs"}),
        '"seed": ': ('"seed":  ', {"record_damaged"}),
        '"approvals": []': ('"approvals": [{"by": "me", "at": "", "decision": ""}]', {"approval_stale"}),
        '"schema": "harness/decision/1"': ('"schema": "harness/decision/2"', {"record_damaged"}),
        "{": ("", {"record_damaged"}),
    }
    for old, (new, expected) in edits.items():
        (run / "decision.json").write_text(text.replace(old, new, 1))
        assert expected <= codes(run), old
    (run / "decision.json").write_text(text)
    assert codes(run) == set()


def test_a_ranking_that_was_edited_together_with_its_digests_is_found_by_deriving_it_again(run: Path):
    decision = read_decision(run)
    rows = tuple(msgspec.structs.replace(row, score=0.99) for row in decision.ranking)
    forged = msgspec.structs.replace(decision, ranking=rows)
    (run / "decision.json").unlink()
    write_decision(run, sealed(forged), manifest_of(run))
    assert codes(run) == {"ranking_differs"}


def test_what_is_gone_or_cannot_be_ranked_is_named(run: Path):
    (run / "manifest.json").unlink()
    (run / "ranking.csv").unlink()
    (run / "run.json").write_text("{}")
    found = verify(run)
    assert {"file_missing", "not_derivable"} <= {each.code for each in found}
    assert {"manifest.json", "ranking.csv"} <= {each.subject for each in found}
    with pytest.raises(EvidenceError, match=r"has no decision\.json .*harness rank"):
        verify(run / "cells")


def test_random_flips_are_found_and_named(run: Path):
    results = list(flips(run, 25, seed=1))
    assert [name for name, found, named in results if not (found and named)] == []
    assert codes(run) == set()


def test_numbers_that_another_machine_rounds_otherwise_are_the_same():
    assert list(differences({"a": [1.0, 2.0]}, {"a": [1.0 + 1e-13, 2.0]}, "x")) == []
    assert list(differences({"a": 1.0}, {"a": 1.001}, "x")) == ["x.a: 1.0 in the record, 1.001 from the evidence"]
    assert list(differences({"a": None}, {"a": 0}, "x")) == ["x.a: null in the record, 0 from the evidence"]
    assert list(differences([1], [1, 2], "x")) == ["x: 1 in the record, 2 from the evidence"]


@pytest.fixture
def keys(tmp_path: Path) -> dict[str, Path]:
    """Two ed25519 keys, PEM and OpenSSH, with their public halves; and one of another kind."""
    from cryptography.hazmat.primitives import serialization as s
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519

    one, two = ed25519.Ed25519PrivateKey.generate(), ed25519.Ed25519PrivateKey.generate()
    files = {
        "pem": one.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption()),
        "pem.pub": one.public_key().public_bytes(s.Encoding.PEM, s.PublicFormat.SubjectPublicKeyInfo),
        "ssh": two.private_bytes(s.Encoding.PEM, s.PrivateFormat.OpenSSH, s.NoEncryption()),
        "locked": two.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.BestAvailableEncryption(b"secret")),
        "ssh.pub": two.public_key().public_bytes(s.Encoding.OpenSSH, s.PublicFormat.OpenSSH),
        "ec": ec.generate_private_key(ec.SECP256R1()).private_bytes(
            s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption()
        ),
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    return {name: tmp_path / name for name in files}


def test_a_signature_is_checked_by_the_right_key_only(run: Path, keys: dict[str, Path], monkeypatch):
    def found(public: str | None) -> list[str]:
        return [each.code for each in check_signature(run, keys[public] if public else None)]

    assert found(None) == []
    assert found("pem.pub") == ["signature_missing"]
    sign(run, private_key(keys["pem"]))
    assert len((run / "decision.json.sig").read_bytes()) == 64
    assert (found(None), found("pem.pub")) == (["signature_unchecked"], ["signature_good"])
    assert found("ssh.pub") == ["signature_wrong"]
    monkeypatch.setenv(PASSWORD, "secret")
    sign(run, private_key(keys["locked"]))
    assert found("ssh.pub") == ["signature_good"]
    monkeypatch.delenv(PASSWORD)
    sign(run, private_key(keys["ssh"]))
    assert found("ssh.pub") == ["signature_good"]
    content = (run / "decision.json").read_bytes()
    (run / "decision.json").write_bytes(content + b" ")
    assert found("ssh.pub") == ["signature_wrong"]
    with pytest.raises(EvidenceError, match="was changed"):
        sign(run, private_key(keys["ssh"]))


def test_a_later_approval_removes_the_signature_of_the_record_before(run: Path, keys: dict[str, Path]):
    sign(run, private_key(keys["pem"]))
    approved = write_approval(run, "Ada", "2026-01-01T00:00:00+00:00")
    assert approved.approvals[0].decision == content_digest(approved)
    assert [each.code for each in check_signature(run, keys["pem.pub"])] == ["signature_missing"]
    assert codes(run) == set()


@pytest.mark.parametrize(("name", "said"), [("locked", PASSWORD), ("ec", "ed25519 is needed"), ("pem.pub", "cannot")])
def test_a_key_that_cannot_sign_is_refused(keys: dict[str, Path], name: str, said: str, monkeypatch):
    monkeypatch.delenv(PASSWORD, raising=False)
    with pytest.raises(SpecError, match=said):
        private_key(keys[name])


def test_a_private_key_is_no_public_one(run: Path, keys: dict[str, Path]):
    with pytest.raises(SpecError, match="is no public key"):
        check_signature(run, keys["pem"])
