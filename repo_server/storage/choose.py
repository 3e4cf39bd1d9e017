"""Where a repository keeps its blobs: beside itself, or in an object store that ``repository.toml`` names (edge).

[blobs]
url = "s3://clawdie-blobs/skills"                    # bucket, and perhaps a prefix
endpoint = "https://s3.example.net"                  # http to this machine only
region = "eu-central-1"
credentials = "/usr/local/etc/skillrepo/s3.toml"     # key_id and secret; owned by us, 0600
"""

import json
import os
import re
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import urlsplit

from repo_server.storage.blobs import LargeBlobs
from repo_server.storage.local import LocalBlobs
from signing.errors import FormatError, KeyAccessError

if TYPE_CHECKING:
    from repo_server.storage.s3 import S3Place

_KEYS: Final = frozenset({"url", "endpoint", "region", "credentials"})
_URL: Final = re.compile(
    r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])((?:/[A-Za-z0-9._-]{1,100}){0,4})/?", re.ASCII
)
_REGION: Final = re.compile(r"[a-z0-9-]{1,40}", re.ASCII)
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_MAX_CREDENTIALS: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobSettings:
    """Where blobs are; without a bucket, in the folder ``blobs`` of the repository."""

    bucket: str = ""
    prefix: str = ""
    endpoint: str = ""
    region: str = ""
    credentials: str = ""

    @property
    def where(self) -> str:
        """The place, for people."""
        return f"s3://{self.bucket}/{self.prefix} at {self.endpoint}" if self.bucket else "blobs/"

    def render(self, table: str = "blobs") -> str:
        """Return the settings as a table of TOML; nothing for the folder."""
        if not self.bucket:
            return ""
        url = f"s3://{self.bucket}/{self.prefix}".rstrip("/")
        values = {
            "url": url,
            "endpoint": self.endpoint,
            "region": self.region,
            "credentials": self.credentials,
        }
        return f"\n[{table}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())

    @classmethod
    def from_toml(cls, values: Mapping[str, Any], *, where: str) -> Self:
        """Return the settings in a table of TOML.

        Raises:
            FormatError: an unknown or wrong setting.
        """
        if not values:
            return cls()
        if set(values) != _KEYS or not all(isinstance(value, str) for value in values.values()):
            raise FormatError(f"wants exactly {', '.join(sorted(_KEYS))}", where=where)
        found = _URL.fullmatch(values["url"])
        if found is None or ".." in found[2]:
            raise FormatError("url is s3://BUCKET or s3://BUCKET/PREFIX", where=where)
        if not _is_endpoint(values["endpoint"]):
            raise FormatError("endpoint is an https address, or http on this machine", where=where)
        if not _REGION.fullmatch(values["region"]) or not values["credentials"].startswith("/"):
            raise FormatError("region is a name, credentials the absolute path of a file", where=where)
        return cls(
            bucket=found[1],
            prefix=found[2].strip("/"),
            endpoint=values["endpoint"].rstrip("/"),
            region=values["region"],
            credentials=values["credentials"],
        )

    def open(self, folder: Path) -> LargeBlobs:
        """Return the blobs; the object store is asked nothing yet.

        Raises:
            KeyAccessError: the credentials cannot be read, or others can read them.
            HostError: the library is not installed.
        """
        if not self.bucket:
            return LocalBlobs(folder)
        from repo_server.storage.s3 import S3Blobs  # noqa: PLC0415 - only who keeps blobs there

        return S3Blobs(self.place().open(), where=self.where)

    def place(self) -> "S3Place":
        """Return the bucket, and who we are there.

        Raises:
            KeyAccessError: the credentials cannot be read, or others can read them.
        """
        from repo_server.storage.s3 import S3Place  # noqa: PLC0415

        key_id, secret = _credentials(Path(self.credentials))
        return S3Place(
            endpoint=self.endpoint,
            bucket=self.bucket,
            prefix=self.prefix,
            region=self.region,
            key_id=key_id,
            secret=secret,
        )


def _is_endpoint(text: str) -> bool:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:  # half an IPv6 address, or a port that is none
        return False
    near = parts.scheme == "http" and parts.hostname in _LOOPBACK
    extra = parts.username or parts.password or parts.query or parts.fragment or port == 0
    return bool((near or parts.scheme == "https") and parts.hostname and not extra)


def _credentials(path: Path) -> tuple[str, str]:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as stream:
            status = os.fstat(stream.fileno())
            if (
                not stat.S_ISREG(status.st_mode)
                or status.st_mode & 0o077
                or status.st_uid not in {0, os.geteuid()}
            ):
                raise KeyAccessError(
                    f"others may read or change {path}", hint=f"chown it to who runs this, chmod 600 {path}"
                )
            values = tomllib.loads(stream.read(_MAX_CREDENTIALS).decode())
    except OSError as error:
        raise KeyAccessError(f"cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FormatError("not TOML", where=path.name) from error
    if set(values) != {"key_id", "secret"} or not all(
        isinstance(word, str) and word for word in values.values()
    ):
        raise FormatError("wants key_id and secret", where=path.name)
    return values["key_id"], values["secret"]
