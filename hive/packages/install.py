"""Handing a package to a host. The function here takes a `PackageAdmission` and nothing less.

What is handed over is what was verified: `VerifiedPackage.stream` hashes it again on its way and keeps the last piece
back until the digest is right, and it is counted here once more, so that the receipt is about what was really given.
"""

from datetime import datetime

from hive.admission import PackageAdmission
from hive.jails.host import JailHost
from hive.packages.receipts import Counted, Receipt
from signing.errors import HostError, WrongSubjectError
from signing.format.names import TenantId


def install_package(
    host: JailHost, tenant_id: TenantId, admission: PackageAdmission, *, now: datetime
) -> Receipt:
    """Install an admitted package into the tenant's jail.

    Raises:
        WrongSubjectError: it was admitted for another tenant.
        DigestMismatchError: the file changed since it was verified; the jail did not get a whole package.
        RejectedError: the package is not what it says, or does not go with what stands in the jail.
        HostError: the host cannot do it.
    """
    if admission.tenant.tenant_id != tenant_id:
        raise WrongSubjectError(f"{admission.pin} was admitted for {admission.tenant.tenant_id}")
    package, packages = admission.package.package, admission.package.packages
    counted = Counted(admission.package.stream())
    placed = host.install_package(tenant_id, admission, counted)
    if (counted.sha256, counted.size) != (package.sha256, package.size):
        raise HostError(
            f"only {counted.size} of {package.size} bytes of {package.pin} were taken", hint="birth again"
        )
    return Receipt(
        tenant_id=tenant_id,
        pin=package.pin,
        sha256=counted.sha256,
        size=counted.size,
        repo=packages.repo,
        serial=packages.index.serial,
        placed=placed,
        at=now,
    )
