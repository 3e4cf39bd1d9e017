"""What a Bitwarden client expects to decrypt: keys from passwords, sealed texts, keys for members.

2.iv|ciphertext|mac     AES-256-CBC, then HMAC-SHA256 over iv and ciphertext, under a key of 64 bytes
4.data                  RSA-OAEP with SHA-1: how the key of an organisation reaches a member
"""

import base64
import hashlib
import hmac
import os

from cryptography.hazmat.primitives import hashes, padding, serialization
from cryptography.hazmat.primitives.asymmetric import padding as rsa_padding
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

ITERATIONS = 10_000  # few, so that tests are quick; the client takes what the server says


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def seal(key: bytes, plain: bytes) -> str:
    iv = os.urandom(16)
    padder = padding.PKCS7(128).padder()
    encryptor = Cipher(algorithms.AES(key[:32]), modes.CBC(iv)).encryptor()
    ciphertext = encryptor.update(padder.update(plain) + padder.finalize()) + encryptor.finalize()
    mac = hmac.new(key[32:], iv + ciphertext, hashlib.sha256).digest()
    return f"2.{b64(iv)}|{b64(ciphertext)}|{b64(mac)}"


def stretched_master_key(password: str, email: str) -> bytes:
    key = hashlib.pbkdf2_hmac("sha256", password.encode(), email.lower().encode(), ITERATIONS, 32)
    return b"".join(HKDFExpand(hashes.SHA256(), 32, info).derive(key) for info in (b"enc", b"mac"))


class KeyPair:
    """The RSA pair of an account; its private half is sealed under the account's key."""

    def __init__(self) -> None:
        self._private = rsa.generate_private_key(65537, 2048)

    def seal_to(self, plain: bytes) -> str:
        oaep = rsa_padding.OAEP(rsa_padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)
        return "4." + b64(self._private.public_key().encrypt(plain, oaep))

    def sealed_private(self, key: bytes) -> str:
        return seal(
            key,
            self._private.private_bytes(
                serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ),
        )

    def public(self) -> str:
        return b64(
            self._private.public_key().public_bytes(
                serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        )
