"""A tenant's bucket, complete and its own: the only thing that may become a jail's environment file.

Whatever a vault answers becomes a `Bucket` here or is refused whole: there is no partial bucket, no precedence
between two values of one name, and no bucket without a declaration of what belongs in it. An empty answer is
what vaults also give for "no access", "not there" and "not now", so it is never taken for an empty bucket.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import InitVar, dataclass
from types import MappingProxyType
from typing import Final, NamedTuple, final

from hive.vault.dotenv import check_value, is_variable_name
from hive.vault.secret import Secret
from signing.errors import CouldNotVerifyError, FormatError, NotEntitledError
from signing.format.names import TenantId
from signing.sealed import unchangeable

MAX_VARIABLES: Final = 500
RESERVED: Final = "HIVE_"  # the hive's own variables: its address, the agent's token


class Variable(NamedTuple):
    """A variable as it stands in a vault, and where; not checked yet. Its value appears in no repr."""

    name: str
    value: str
    where: str

    def __repr__(self) -> str:
        return f"Variable({self.where})"


class _Seal:
    """The one instance of this class is what makes a bucket; it does not leave this module."""


_SEAL: Final = _Seal()


@unchangeable
@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """Every variable of one tenant, and nobody else's. The vault that returns it vouches for whose it is."""

    tenant_id: TenantId
    collection_id: str
    variables: Mapping[str, Secret]
    seal: InitVar[_Seal]

    def __post_init__(self, seal: _Seal) -> None:
        if seal is not _SEAL:
            raise TypeError("Bucket comes from hive.vault.bucket.make_bucket()")

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the variables, sorted."""
        return tuple(sorted(self.variables))

    def forget(self) -> None:
        """Overwrite the values; see `Secret.forget`."""
        for secret in self.variables.values():
            secret.forget()


def make_bucket(
    tenant_id: TenantId, collection_id: str, found: Iterable[Variable], *, declared: Collection[str]
) -> Bucket:
    """Return the bucket with what was ``found``, which must be what is ``declared``, no more and no less.

    Raises:
        FormatError: a bad name or value, a name given twice, or too many.
        NotEntitledError: it sets a variable of the hive itself.
        CouldNotVerifyError: what was found is not what the bucket declares.
    """
    variables: dict[str, Secret] = {}
    for variable in found:
        _check_name(variable)
        check_value(variable.value, where=f"{variable.name} ({variable.where})")
        if variable.name in variables:
            raise FormatError(
                f"{variable.name} is given twice",
                where=variable.where,
                hint="one place per variable; no value is chosen over another",
            )
        if len(variables) >= MAX_VARIABLES:
            raise FormatError(f"more than {MAX_VARIABLES} variables", where="bucket")
        variables[variable.name] = Secret(variable.value.encode())
    _check_complete(variables, declared)
    return Bucket(
        tenant_id=tenant_id, collection_id=collection_id, variables=MappingProxyType(variables), seal=_SEAL
    )


def _check_name(variable: Variable) -> None:
    if not is_variable_name(variable.name):
        # Not shown: whoever swaps the two fields of a form has put the secret here.
        raise FormatError(
            "a name that is not the name of a variable (A-Z, 0-9 and _, not starting with a digit)",
            where=variable.where,
            hint="rename it in the vault; nothing of the bucket was used",
        )
    if variable.name.startswith(RESERVED):
        raise NotEntitledError(
            f"{variable.name} belongs to the hive; a bucket cannot set it",
            where=variable.where,
            hint="remove it from the bucket",
        )


def _check_complete(variables: Collection[str], declared: Collection[str]) -> None:
    missing, extra = sorted(set(declared) - set(variables)), sorted(set(variables) - set(declared))
    if missing or extra:
        parts = [f"missing {', '.join(missing)}"] * bool(missing)
        parts += [f"not declared {', '.join(extra)}"] * bool(extra)
        raise CouldNotVerifyError(
            f"the bucket is not what its marker declares: {'; '.join(parts)}",
            hint="mend the marker's keys or the bucket; a list that came only in part looks the same",
            missing=missing,
            extra=extra,
        )
