"""Signing a selection record with a local ed25519 key, and checking the signature with the public one.

What is signed are the bytes of `decision.json`, which has one form only; the signature, 64 bytes, is in
`decision.json.sig`. OpenSSL checks it too:

    openssl pkeyutl -verify -rawin -pubin -inkey PUBLIC -in decision.json -sigfile decision.json.sig

Another way to sign (Sigstore) is an exporter: it gets the run, and writes what it makes beside it.
"""

import os
from pathlib import Path
from typing import Any

from harness.errors import EvidenceError, SpecError
from harness.evidence.files import as_written, write_whole
from harness.pipeline.decision import FILE, SIGNATURE, read_decision
from harness.spec.diagnostics import Diagnostic, diagnostic

PASSWORD = "HARNESS_KEY_PASSWORD"
"""The environment variable with the password of an encrypted key."""
_MAKE = "make one with `openssl genpkey -algorithm ed25519 -out FILE`"
_PUBLIC = "give the public half: `openssl pkey -in FILE -pubout -out PUBLIC`, or the .pub of ssh-keygen"


def private_key(path: Path) -> Any:
    """Load a private ed25519 key, PEM or OpenSSH. Raises SpecError if it cannot be used."""
    data, kinds = _read(path, _MAKE), _serialization()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    given = os.environ.get(PASSWORD)
    load = kinds.load_ssh_private_key if b"OPENSSH" in data else kinds.load_pem_private_key
    try:
        key = load(data, given.encode() if given else None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        mend = f"{_MAKE}; the password of an encrypted key goes into {PASSWORD}"
        raise SpecError(str(path), f"the private key cannot be read: {error}", mend) from error
    return _of_kind(path, key, Ed25519PrivateKey, _MAKE)


def sign(folder: Path, key: Any) -> Path:
    """Sign a run's record with a private key and return the signature's file.

    Raises EvidenceError if there is no record, or it is not as it was written.
    """
    decision, data = read_decision(folder), (folder / FILE).read_bytes()
    if as_written(decision) != data:
        raise EvidenceError(f"{folder / FILE}: was changed (look with `harness verify`, decide with `harness rank`)")
    signature: bytes = key.sign(data)
    write_whole(folder / SIGNATURE, lambda path: path.write_bytes(signature))
    return folder / SIGNATURE


def check_signature(folder: Path, public: Path | None) -> list[Diagnostic]:
    """Check the signature of a run's record with a public key, or say that none was given. Raises SpecError."""
    path = folder / SIGNATURE
    if public is None:
        unchecked = f"{SIGNATURE}: not checked: give the signer's public key with --key"
        return [diagnostic("signature_unchecked", unchecked, SIGNATURE)] if path.exists() else []
    key = _public(public)
    if not path.exists():
        return [diagnostic("signature_missing", f"{FILE} is not signed", SIGNATURE)]
    from cryptography.exceptions import InvalidSignature

    try:
        key.verify(path.read_bytes(), (folder / FILE).read_bytes())
    except InvalidSignature:
        return [diagnostic("signature_wrong", f"{SIGNATURE}: not of this {FILE} by the key {public}", SIGNATURE)]
    except OSError as error:
        return [diagnostic("file_unreadable", f"{SIGNATURE}: {error.strerror or error}", SIGNATURE)]
    return [diagnostic("signature_good", f"{SIGNATURE}: of this {FILE}, by the key {public}", SIGNATURE)]


def _public(path: Path) -> Any:
    """Load a public key, PEM or OpenSSH."""
    data, kinds = _read(path, _PUBLIC), _serialization()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        load = kinds.load_ssh_public_key if data.startswith(b"ssh-") else kinds.load_pem_public_key
        key = load(data)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise SpecError(str(path), "is no public key that can be read", _PUBLIC) from error
    return _of_kind(path, key, Ed25519PublicKey, _PUBLIC)


def _of_kind(path: Path, key: Any, kind: type, mend: str) -> Any:
    if not isinstance(key, kind):
        raise SpecError(str(path), f"is a key of another kind ({type(key).__name__}), ed25519 is needed", mend)
    return key


def _serialization() -> Any:
    try:
        from cryptography.hazmat.primitives import serialization
    except ImportError as error:
        raise SpecError("--key", "the package cryptography is missing", "install harness-bench[sign]") from error
    return serialization


def _read(path: Path, mend: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SpecError(str(path), f"cannot be read: {error.strerror or error}", mend) from error
