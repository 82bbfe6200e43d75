"""The programs of Debian's packages: found, installed when we may, or refused in one sentence."""

import functools
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bascule.errors import BasculeError

__all__ = ["PackageMissing", "find_program", "require"]

_POLICY = "usr/sbin/policy-rc.d"
_CREATE_CLUSTER = "etc/postgresql-common/createcluster.d/bascule-tests.conf"
_INSTALL_TIMEOUT_S = 600


class PackageMissing(BasculeError):
    """A server is not installed, and we may not or could not install its package."""

    def __init__(self, package: str, reason: str) -> None:
        self.package = package
        self.reason = reason
        super().__init__(
            f"the Debian package {package} is not installed and {reason}",
            next_command=f"sudo apt-get install --no-install-recommends {package}",
        )


def find_program(name: str, *folders: str) -> Path | None:
    """Return the program's path: the highest version in the folders (which may hold patterns), else in PATH."""
    for folder in folders:
        found = [path for path in Path("/").glob(f"{folder.lstrip('/')}/{name}") if os.access(path, os.X_OK)]
        if found:
            return max(found, key=_version_of)
    path = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin:/sbin")
    return Path(path) if path else None


def require(package: str, find: Callable[[], Path | None], *, system: Path = Path("/")) -> Path:
    """Return what `find` finds, after installing `package` when it finds nothing and we are root.

    No service of the package is started: `system` holds the two files that tell Debian's scripts so meanwhile.
    Raises: PackageMissing when it is absent and cannot be installed.
    """
    found = find()
    if found is None:
        _install(package, system)
        found = find()
    if found is None:
        raise PackageMissing(package, "its program was not found after installing it")
    return found


def _version_of(path: Path) -> tuple[int, ...]:
    return tuple(int(part) for part in str(path).replace("-", "/").replace(".", "/").split("/") if part.isdigit())


def _install(package: str, system: Path) -> None:
    apt = shutil.which("apt-get")
    if apt is None:
        raise PackageMissing(package, "this machine has no apt-get")
    if os.geteuid() != 0:
        raise PackageMissing(package, "only root can install it")
    with ExitStack() as stack:
        stack.enter_context(_written(system / _POLICY, "#!/bin/sh\nexit 101\n", mode=0o755))
        stack.enter_context(_written(system / _CREATE_CLUSTER, "create_main_cluster = false\n", mode=0o644))
        _update(apt, package)
        _apt(apt, package, "install", "--yes", "--no-install-recommends", package)


@functools.cache
def _update(apt: str, package: str) -> None:
    """Read the package lists; once per process and package is enough and cheap."""
    _apt(apt, package, "update")


def _apt(apt: str, package: str, *arguments: str) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
    done = subprocess.run(
        [apt, "-q", "-o", "DPkg::Lock::Timeout=300", *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_INSTALL_TIMEOUT_S,
        check=False,
    )
    if done.returncode != 0:
        last = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()[-1]
        raise PackageMissing(package, f"apt-get {arguments[0]} failed: {last}")


@contextmanager
def _written(path: Path, text: str, *, mode: int) -> Iterator[None]:
    """Keep a file of ours in place during the block; a file that already stands is the operator's and stays."""
    if path.exists():
        yield
        return
    missing = [folder for folder in (path.parent, *path.parent.parents) if not folder.exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        for folder in missing:
            if folder.exists() and not any(folder.iterdir()):
                folder.rmdir()
