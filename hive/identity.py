"""Identity: layers of kind soul, resolved into one SOUL.md (pure).

The same layers give the same bytes. The header names each layer and its digest, so that whoever reads the
file in a jail, the agent included, can tell where every part of its identity comes from.
"""

from collections.abc import Sequence
from typing import Final

from hive.admission import Admission
from signing.errors import FormatError, WrongSubjectError
from signing.format.manifest import SKILL_NAME, Kind, MemberPath

SOUL_NAME: Final = "SOUL.md"
_FENCE: Final = "---"


def resolve_identity(layers: Sequence[Admission]) -> bytes:
    """Return the SOUL.md of ``layers``, the most general first.

    Raises:
        WrongSubjectError: a layer is not of kind soul.
        FormatError: a layer's SKILL.md is not text with front matter.
    """
    header = ["<!-- The identity of this agent, resolved from signed layers. Changes here are drift."]
    parts = []
    for layer in layers:
        if layer.kind is not Kind.SOUL:
            raise WrongSubjectError(f"{layer.pin} is a {layer.kind}, not an identity layer")
        header.append(f"     layer {layer.pin} tree sha256:{layer.tree_sha256}")
        parts.append(_body(layer))
    return ("\n".join([*header, "-->"]) + "\n\n" + "\n\n".join(parts) + "\n").encode()


def _body(layer: Admission) -> str:
    try:
        lines = (
            layer.bundle.contents[MemberPath(SKILL_NAME)].decode().split("\n")
        )  # as reviewed: no other character ends a line
    except UnicodeDecodeError as error:
        raise FormatError("SKILL.md is not UTF-8", where=str(layer.pin)) from error
    if lines[:1] != [_FENCE] or _FENCE not in lines[1:]:
        raise FormatError("SKILL.md has no front matter", where=str(layer.pin))
    return "\n".join(lines[lines.index(_FENCE, 1) + 1 :]).strip()
