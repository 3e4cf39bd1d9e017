"""Handing a package to a host. The function here takes a `PackageAdmission` and nothing less.

index, file in the store   `hive.packages.bringing`     what the profile pins, fetched and verified
→ VerifiedPackage          `signing.package_evidence`   the open file; every piece is compared as it comes out
→ PackageAdmission         `hive.admission`             it may enter this tenant's jail, now
→ AdmittedBytes            `hive.packages.admitted_bytes`
→ the host                 `hive.packages.unpack` (a folder) or `hive.packages.stream` (a running jail)
→ Receipt                  `hive.packages.receipts`     by this host's own count, never by what a jail answers
"""

from datetime import datetime

from hive.admission import PackageAdmission
from hive.jails.host import JailHost
from hive.packages.admitted_bytes import AdmittedBytes
from hive.packages.receipts import Receipt
from hive.refusals import about_listed
from signing.errors import HostError, WrongSubjectError
from signing.format.names import TenantId


def install_package(
    host: JailHost, tenant_id: TenantId, admission: PackageAdmission, *, now: datetime
) -> Receipt:
    """Install an admitted package into the tenant's jail.

    Raises:
        TypeError: it is no admission.
        WrongSubjectError: it was admitted for another tenant.
        DigestMismatchError: the file changed since it was verified; the jail got nothing that was changed.
        RejectedError: the package is not what it says, or does not go with what stands in the jail.
        HostError: the host cannot do it.
    """
    given = AdmittedBytes(admission)
    if admission.tenant.tenant_id != tenant_id:
        raise WrongSubjectError(f"{admission.pin} was admitted for {admission.tenant.tenant_id}")
    package, packages = admission.package.package, admission.package.packages
    with about_listed(package.sha256, packages):
        placed = host.install_package(given)
    if not given.is_whole:
        raise HostError(
            f"only {given.size} of {package.size} bytes of {package.pin} were taken", hint="birth again"
        )
    return Receipt(
        tenant_id=tenant_id,
        pin=package.pin,
        sha256=package.sha256,
        size=given.size,
        repo=packages.repo,
        serial=packages.index.serial,
        placed=placed,
        at=now,
    )
