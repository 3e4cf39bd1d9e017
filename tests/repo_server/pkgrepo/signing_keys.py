"""Keys and fixtures for tests of what we sign for pkg."""

from functools import cache
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_private_key,
    load_pem_private_key,
)

from repo_server.pkgrepo.keys import PrivateKeySigner
from repo_server.pkgrepo.public_keys import KeyKind

DATA = Path(__file__).parents[2] / "data" / "pkg"
LATEST = "FreeBSD:14:amd64/latest"


@cache
def fixture_signer(name):
    """The signer of one of the throw-away keys that real pkg signed the fixtures with."""
    data = (DATA / "keys" / f"TEST-ONLY-{name}.key").read_bytes()
    load = load_pem_private_key if data.startswith(b"-----") else load_der_private_key
    return PrivateKeySigner(load(data, None))


@cache
def fresh_signer(kind, number=0):
    del number
    match kind:
        case KeyKind.RSA:
            return PrivateKeySigner(rsa.generate_private_key(public_exponent=65537, key_size=2048))
        case KeyKind.ECDSA:
            return PrivateKeySigner(ec.generate_private_key(ec.SECP256K1()))
        case _:
            return PrivateKeySigner(ed25519.Ed25519PrivateKey.generate())


def raw_public(private):
    return private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
