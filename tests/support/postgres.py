"""A real PostgreSQL in a temporary folder, on a Unix socket only; skipped aloud where there is none.

Taken from the system (Debian's, FreeBSD's), else from the wheel ``pgserver``. It refuses to run as root, so root lends
it the user ``postgres``.
"""

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

PLACES = ("/usr/lib/postgresql/*/bin", "/usr/local/bin", "/usr/local/pgsql/bin")


def programs() -> Path | None:
    """Where initdb and pg_ctl are."""
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).resolve().parent
    for place in PLACES:
        for folder in sorted(Path("/").glob(place.lstrip("/")), reverse=True):
            if (folder / "initdb").exists():
                return folder
    with contextlib.suppress(ImportError):
        import pgserver

        return Path(pgserver.__file__).parent / "pginstall" / "bin"
    return None


@contextlib.contextmanager
def running(*, durable: bool = False) -> Iterator[str]:
    """Yield the address of an empty server: its first database is for making others.

    Only where it is measured are its commits ``durable``; no test cuts the power.
    """
    pytest.importorskip("psycopg", reason="psycopg is not installed: nothing was tested on PostgreSQL")
    bin_dir = programs()
    if bin_dir is None:
        pytest.skip("no PostgreSQL on this machine: nothing was tested on it")
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    user = None
    if os.geteuid() == 0:
        try:
            user = pwd.getpwnam("postgres").pw_name
        except KeyError:
            pytest.skip("PostgreSQL does not run as root, and there is no user postgres here")
        shutil.chown(folder, user)
    data = folder / "data"

    def run(program: str, *words: str) -> None:
        command = [str(bin_dir / program), "-D", str(data), *words]
        subprocess.run(command, user=user, cwd=folder, stdout=subprocess.DEVNULL, timeout=120, check=True)

    try:
        run("initdb", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N")
        sync = "on" if durable else "off"
        options = f"-k {folder} -c listen_addresses='' -c fsync={sync} -c max_connections=100"
        run("pg_ctl", "-w", "-l", str(folder / "log"), "-o", options, "start")
        try:
            yield f"postgresql+psycopg://postgres@/postgres?host={folder}"
        finally:
            run("pg_ctl", "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def database(server: str, name: str, *, template: str = "template1") -> Iterator[str]:
    """Yield the address of a new database, a copy of ``template``."""
    from sqlalchemy import create_engine, text

    admin = create_engine(server, isolation_level="AUTOCOMMIT")
    try:
        with admin.connect() as connection:
            connection.execute(text(f'CREATE DATABASE "{name}" TEMPLATE "{template}"'))
        yield server.replace("@/postgres?", f"@/{name}?")
        with admin.connect() as connection:
            connection.execute(text(f'DROP DATABASE "{name}" WITH (FORCE)'))
    finally:
        admin.dispose()
