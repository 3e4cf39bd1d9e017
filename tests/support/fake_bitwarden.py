"""A Bitwarden-speaking server on loopback https, enough for the real `bw`: login, sync, collections, items.

    server = FakeBitwarden(folder)
    bucket = server.add_collection("acme")
    server.add_item(bucket, "OPENROUTER_API_KEY", password="sk-or-1")
    server.faults["/api/sync"] = 500        # by path prefix: a status, "html", or "drop"
    server.stop()

One account, one organisation. What is encrypted is really encrypted, because the client decrypts everything
itself. Access tokens are not signed (the client never checks), and nothing can be written. `requests` is what
was asked, in order, and `unhandled` what it did not know.
"""

import datetime as dt
import ipaddress
import json
import os
import ssl
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from tests.support.bitwarden_crypto import ITERATIONS, KeyPair, b64, seal, stretched_master_key

LOGIN, NOTE = 1, 2
PASSWORD = "correct horse battery staple"
EMAIL = "service@hive.example"
TOO_MANY = "Too many login requests"


def _now() -> str:
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class FakeBitwarden:
    """The server and all that it knows; tests read and change the attributes."""

    def __init__(self, folder: Path) -> None:
        self.account_id = str(uuid.uuid4())
        self.client_id = f"user.{self.account_id}"
        self.client_secret = os.urandom(15).hex()
        self.organization_id = str(uuid.uuid4())
        self.collections: dict[str, str] = {}  # id -> name
        self.hidden: set[str] = set()  # collections that the account may not read
        self.items: list[dict[str, Any]] = []
        self.faults: dict[str, int | str] = {}
        self.requests: list[str] = []
        self.unhandled: list[str] = []
        self._tokens: set[str] = set()
        self._stamp = str(uuid.uuid4())
        self._organization_key = os.urandom(64)
        self._user_key = os.urandom(64)
        self._pair = KeyPair()
        self._sealed_user_key = seal(stretched_master_key(PASSWORD, EMAIL), self._user_key)
        self.ca_file = folder / "ca.pem"
        self._http = _serve(self, self.ca_file, folder / "server.key")
        self.url = f"https://localhost:{self._http.server_port}"

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    def count(self, path: str) -> int:
        return self.requests.count(path)

    # --- what is in it -----------------------------------------------------------------------------

    def add_collection(self, name: str) -> str:
        collection_id = str(uuid.uuid4())
        self.collections[collection_id] = name
        return collection_id

    def add_item(
        self,
        *collection_ids: str,
        name: str,
        kind: int = LOGIN,
        password: str | None = None,
        notes: str | None = None,
        fields: dict[str, str] | None = None,
    ) -> dict[str, Any]:
        item: dict[str, Any] = {
            "object": "cipherDetails",
            "id": str(uuid.uuid4()),
            "organizationId": self.organization_id,
            "collectionIds": list(collection_ids),
            "type": kind,
            "name": self._sealed(name),
            "notes": self._sealed(notes),
            "fields": [
                {"type": 1, "name": self._sealed(key), "value": self._sealed(value), "linkedId": None}
                for key, value in (fields or {}).items()
            ],
            "login": {"username": None, "password": self._sealed(password), "totp": None, "uris": []}
            if kind == LOGIN
            else None,
            "secureNote": {"type": 0} if kind == NOTE else None,
            "key": None,
            "favorite": False,
            "reprompt": 0,
            "edit": True,
            "viewPassword": True,
            "permissions": {"delete": True, "restore": True},
            "creationDate": _now(),
            "revisionDate": _now(),
            "deletedDate": None,
            "attachments": None,
        }
        self.items.append(item)
        return item

    def add_bucket(self, tenant: str, secrets: dict[str, str]) -> str:
        """Add a whole bucket with its marker, one login for each secret."""
        collection_id = self.add_collection(tenant)
        for name, value in secrets.items():
            self.add_item(collection_id, name=name, password=value)
        self.add_marker(collection_id, tenant, secrets)
        return collection_id

    def add_marker(self, collection_id: str, tenant: str, names: Any) -> dict[str, Any]:
        return self.add_item(
            collection_id,
            name=".hive",
            kind=NOTE,
            fields={"tenant_id": tenant, "keys": ",".join(sorted(names))},
        )

    def _sealed(self, text: str | None) -> str | None:
        return None if text is None else seal(self._organization_key, text.encode())

    # --- answers -----------------------------------------------------------------------------------

    def token_answer(self, form: dict[str, str]) -> dict[str, Any] | None:
        if form.get("client_id") != self.client_id or form.get("client_secret") != self.client_secret:
            return None
        return {
            "access_token": self._token(),
            "expires_in": 3600,
            "token_type": "Bearer",
            "scope": "api",
            "Key": self._sealed_user_key,
            "PrivateKey": self._pair.sealed_private(self._user_key),
            "AccountKeys": self._account_keys(),
            "Kdf": 0,
            "KdfIterations": ITERATIONS,
            "KdfMemory": None,
            "KdfParallelism": None,
            "ResetMasterPassword": False,
            "ForcePasswordReset": False,
            "UserDecryptionOptions": {
                "Object": "userDecryptionOptions",
                "HasMasterPassword": True,
                "MasterPasswordUnlock": {
                    "Kdf": {
                        "KdfType": 0,
                        "Iterations": ITERATIONS,
                        "Memory": None,
                        "Parallelism": None,
                    },
                    "MasterKeyEncryptedUserKey": self._sealed_user_key,
                    "MasterKeyWrappedUserKey": self._sealed_user_key,
                    "Salt": EMAIL,
                },
            },
        }

    def _token(self) -> str:
        seconds = int(time.time())
        claims = {
            "nbf": seconds,
            "exp": seconds + 3600,
            "iss": "fake|login",
            "sub": self.account_id,
            "premium": True,
            "name": "service",
            "email": EMAIL,
            "email_verified": True,
            "sstamp": self._stamp,
            "device": str(uuid.uuid4()),
            "scope": ["api"],
            "amr": ["Application"],
            "client_id": self.client_id,
        }
        parts = (
            json.dumps({"alg": "HS256", "typ": "JWT"}).encode(),
            json.dumps(claims).encode(),
            os.urandom(32),
        )
        token = ".".join(b64(part).translate({43: 45, 47: 95, 61: None}) for part in parts)
        self._tokens.add(token)
        return token

    def knows(self, token: str) -> bool:
        return token in self._tokens

    def _account_keys(self) -> dict[str, Any]:
        return {
            "publicKeyEncryptionKeyPair": {
                "wrappedPrivateKey": self._pair.sealed_private(self._user_key),
                "publicKey": self._pair.public(),
                "signedPublicKey": None,
                "object": "publicKeyEncryptionKeyPair",
            },
            "signatureKeyPair": None,
            "securityState": None,
            "object": "privateKeys",
        }

    def _visible(self) -> list[str]:
        return [collection_id for collection_id in self.collections if collection_id not in self.hidden]

    def collection_list(self) -> list[dict[str, Any]]:
        return [
            {
                "object": "collectionDetails",
                "id": collection_id,
                "organizationId": self.organization_id,
                "name": self._sealed(self.collections[collection_id]),
                "externalId": None,
                "readOnly": True,
                "hidePasswords": False,
                "manage": False,
                "type": 0,
            }
            for collection_id in self._visible()
        ]

    def sync(self) -> dict[str, Any]:
        visible = set(self._visible())
        return {
            "object": "sync",
            "profile": self.profile(),
            "folders": [],
            "policies": [],
            "sends": [],
            "collections": self.collection_list(),
            "ciphers": [item for item in self.items if visible & set(item["collectionIds"])],
            "domains": {"equivalentDomains": [], "globalEquivalentDomains": [], "object": "domains"},
            "userDecryption": {
                "masterPasswordUnlock": {
                    "kdf": {
                        "kdfType": 0,
                        "iterations": ITERATIONS,
                        "memory": None,
                        "parallelism": None,
                    },
                    "masterKeyEncryptedUserKey": self._sealed_user_key,
                    "masterKeyWrappedUserKey": self._sealed_user_key,
                    "salt": EMAIL,
                }
            },
        }

    def profile(self) -> dict[str, Any]:
        organization = {
            "object": "profileOrganization",
            "id": self.organization_id,
            "name": "Hive",
            "key": self._pair.seal_to(self._organization_key),
            "status": 2,
            "type": 2,
            "enabled": True,
            "usePolicies": True,
            "useGroups": False,
            "use2fa": True,
            "useTotp": True,
            "useApi": True,
            "selfHost": True,
            "usersGetPremium": True,
            "usePasswordManager": True,
            "seats": 10,
            "userId": self.account_id,
            "organizationUserId": str(uuid.uuid4()),
            "permissions": {},
            "productTierType": 3,
            "hasPublicAndPrivateKeys": False,
            "allowAdminAccessToAllCollectionItems": True,
        }
        return {
            "object": "profile",
            "id": self.account_id,
            "name": "service",
            "email": EMAIL,
            "emailVerified": True,
            "premium": True,
            "culture": "en-US",
            "twoFactorEnabled": False,
            "key": self._sealed_user_key,
            "privateKey": self._pair.sealed_private(self._user_key),
            "accountKeys": self._account_keys(),
            "securityStamp": self._stamp,
            "organizations": [organization],
            "providers": [],
            "providerOrganizations": [],
            "forcePasswordReset": False,
            "usesKeyConnector": False,
            "creationDate": _now(),
        }

    def config(self) -> dict[str, Any]:
        return {
            "object": "config",
            "version": "2026.6.0",
            "gitHash": None,
            "server": {"name": "fake", "url": ""},
            "settings": {"disableUserRegistration": True},
            "featureStates": {},
            "push": {"pushTechnology": 0, "vapidPublicKey": None},
            "environment": {
                "vault": self.url,
                "api": f"{self.url}/api",
                "identity": f"{self.url}/identity",
                "notifications": f"{self.url}/notifications",
                "sso": "",
                "cloudRegion": None,
            },
        }


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    fake: FakeBitwarden

    def log_message(self, *_: object) -> None:
        pass

    def _reply(self, status: int, body: Any, content_type: str = "application/json") -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _fail(self, status: int, message: str) -> None:
        self._reply(
            status,
            {
                "error": "",
                "error_description": "",
                "validationErrors": {"": [message]},
                "errorModel": {"message": message, "object": "error"},
                "message": message,
                "object": "error",
            },
        )

    def _answer(self) -> None:
        path = urlparse(self.path).path
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.fake.requests.append(path)
        if self._fault(path):
            return
        if path == "/identity/connect/token":
            form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
            answer = self.fake.token_answer(form)
            if answer is None:
                self._fail(400, "Incorrect client_secret")
            else:
                self._reply(200, answer)
        elif path == "/api/config":
            self._reply(200, self.fake.config())
        else:
            self._authenticated(path)

    do_GET = do_POST = do_PUT = do_DELETE = _answer  # noqa: N815 - the names of the standard library

    def _fault(self, path: str) -> bool:
        fault = next((fault for prefix, fault in self.fake.faults.items() if path.startswith(prefix)), None)
        if fault == "drop":
            self.close_connection = True
            self.connection.close()
        elif fault == "html":
            self._reply(200, b"<html>a proxy says hello</html>", "text/html")
        elif isinstance(fault, int):
            self._fail(fault, TOO_MANY if fault == 429 else f"injected {fault}")
        return fault is not None

    def _authenticated(self, path: str) -> None:
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        if not self.fake.knows(token):
            self._fail(401, "Unauthorized")
        elif path == "/api/sync":
            self._reply(200, self.fake.sync())
        elif path == "/api/accounts/revision-date":
            self._reply(200, int(time.time() * 1000))
        elif path == "/api/accounts/profile":
            self._reply(200, self.fake.profile())
        elif path.endswith("/collections"):
            self._reply(
                200, {"object": "list", "data": self.fake.collection_list(), "continuationToken": None}
            )
        elif path.startswith(("/events/collect", "/api/events")):
            self._reply(200, {})
        else:
            self.fake.unhandled.append(path)
            self._fail(404, "not found")


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that go away, and a connection that is dropped on purpose, are no news."""


def _serve(fake: FakeBitwarden, ca_file: Path, key_file: Path) -> ThreadingHTTPServer:
    _make_certificate(ca_file, key_file)
    server = _Server(("127.0.0.1", 0), type("Bound", (_Handler,), {"fake": fake}))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(ca_file, key_file)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return server


def _make_certificate(ca_file: Path, key_file: Path) -> None:
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    now, day = dt.datetime.now(dt.UTC), dt.timedelta(days=1)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - day)
        .not_valid_after(now + day)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    ca_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
