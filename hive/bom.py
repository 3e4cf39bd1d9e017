"""The bill of materials of a birth: CycloneDX 1.6, JSON (pure; the same birth gives the same bytes).

Skills and identity layers are components of type ``data``, packages of type ``library``; each with its sha256. The
tools of customers read it; what it says is proven by the certificate that names its digest.
"""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

from signing.format.canonical import canonical
from signing.format.moment import render_moment

_NAMESPACE: Final = uuid.uuid5(uuid.NAMESPACE_URL, "https://skills.clawdie.si/schema/birth-certificate/v1")


def bill_of_materials(
    decisions: Sequence[Mapping[str, Any]], *, tenant: str, lock_sha256: str, born_at: datetime
) -> bytes:
    """Return the bill of what ``decisions``, the host's admission records, let in."""
    components = [_component(decision) for decision in decisions]
    return canonical(
        {
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "serialNumber": f"urn:uuid:{uuid.uuid5(_NAMESPACE, f'{tenant} {lock_sha256}')}",
            "version": 1,
            "metadata": {
                "timestamp": render_moment(born_at),
                "component": {"type": "container", "bom-ref": f"jail:{tenant}", "name": tenant},
            },
            "components": components,
            "dependencies": [
                {
                    "ref": f"jail:{tenant}",
                    "dependsOn": sorted(component["bom-ref"] for component in components),
                }
            ],
        }
    )


def _component(decision: Mapping[str, Any]) -> dict[str, Any]:
    if decision["kind"] == "package":
        name, _, version = str(decision["pin"]).rpartition("-")
        digest, kind = decision["sha256"], "library"
        qualifiers = f"?repository={quote(str(decision['repository']), safe='')}"
    else:
        name, _, version = str(decision["pin"]).partition("==")
        digest, kind, qualifiers = decision["bundle_sha256"], "data", ""
    purl = f"pkg:generic/{quote(name, safe='')}@{quote(version, safe='')}{qualifiers}"
    return {
        "type": kind,
        "bom-ref": f"{decision['kind']}:{decision['pin']}",
        "name": name,
        "version": version,
        "purl": purl,
        "hashes": [{"alg": "SHA-256", "content": digest}],
        "properties": [
            {"name": "clawdie:kind", "value": str(decision["kind"])},
            {"name": "clawdie:source", "value": str(decision["source"])},
        ],
    }
