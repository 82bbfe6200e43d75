"""Cut a release of the key manager into releases/<release>/: wheels, lock, recipe, workload and the manifest over them.

Everything comes from the commit that is checked out, never from the files lying about, so that the same commit always
gives the same bytes. Nothing of a release that shipped is ever changed: --again is for one that has not. Until the
first releases ship, an older one is cut again with the library of today:

    python tools/cut_release.py 2026.2 --again --service-at keymanager-2026.2
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from io import BytesIO
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
SERVICE = Path("services") / "keymanager"

# The bad ways to upgrade to a release, for the gate's own proof: they lie beside it and are no part of it.
MUTANTS = "mutants.toml"

# Wheels are archives, whose entries carry a time: always this one.
EPOCH = "1767225600"  # 2026-01-01


def main() -> None:
    """Cut one release; exit code 1 and one sentence when it must not be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("release", help="the release that the code calls itself, such as 2027.1")
    parser.add_argument("--again", action="store_true", help="replace a cut that has not been shipped")
    parser.add_argument("--into", type=Path, default=ROOT / "releases", help="default: %(default)s")
    parser.add_argument(
        "--service-at", metavar="COMMIT", help="take the service's code from there, and all else from here"
    )
    arguments = parser.parse_args()
    target: Path = arguments.into / arguments.release
    if target.exists() and not arguments.again:
        sys.exit(f"{target} was cut already; --again replaces it if it has not been shipped")
    with tempfile.TemporaryDirectory() as name:
        source, cut = Path(name) / "source", Path(name) / arguments.release
        export(source, arguments.service_at)
        manifest = generated_manifest(source)
        if manifest["release"] != arguments.release:
            sys.exit(f"the code calls itself {manifest['release']}; set __version__ to {arguments.release} first")
        cut.mkdir()
        fill(cut, source, manifest)
        if not arguments.service_at:
            shutil.copy(source / SERVICE / MUTANTS, cut)
        if target.exists():
            shutil.rmtree(target)
        target.parent.mkdir(exist_ok=True)
        shutil.copytree(cut, target)
    print(target)


def export(source: Path, service_at: str | None) -> None:
    """Unpack the checked-out commit, with the service's code as it was at `service_at` if that is given."""
    unpack(["HEAD"], source)
    if service_at:
        code = [SERVICE / "src", SERVICE / "pyproject.toml"]
        shutil.rmtree(source / SERVICE / "src")
        unpack([service_at, *map(str, code)], source)


def unpack(what: list[str], source: Path) -> None:
    """Unpack these paths of a commit."""
    archive = subprocess.run(["git", "archive", *what], cwd=ROOT, check=True, capture_output=True).stdout
    with tarfile.open(fileobj=BytesIO(archive)) as tar:
        tar.extraction_filter = getattr(tarfile, "data_filter", lambda member, _path: member)  # Python 3.11.2 has none
        tar.extractall(source)


def generated_manifest(source: Path) -> dict[str, Any]:
    """Return what that code says of itself."""
    path = os.pathsep.join([str(source / "src"), str(source / SERVICE / "src")])
    generate = [sys.executable, "-m", "bascule_keymanager.manifest"]
    said = subprocess.run(generate, env={**os.environ, "PYTHONPATH": path}, check=True, capture_output=True).stdout
    manifest: dict[str, Any] = json.loads(said)
    return manifest


def fill(cut: Path, source: Path, manifest: dict[str, Any]) -> None:
    """Put the files of the release into `cut`, the manifest last."""
    wheels = [build_wheel(source, cut), build_wheel(source / SERVICE, cut)]
    lock = resolve(source, cut / "requirements.lock")
    manifest["artefacts"] = [artefact(wheel) for wheel in wheels]
    manifest["lock"] = artefact(lock)
    for key in ("recipe", "workload"):
        file = source / SERVICE / f"{key}.toml"
        manifest[key] = artefact(Path(shutil.copy(file, cut))) if file.exists() else None
    (cut / "manifest.json").write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n")


def build_wheel(project: Path, cut: Path) -> Path:
    """Build a project's wheel, without network and always with the same bytes."""
    before = set(cut.glob("*.whl"))
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(cut)]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": EPOCH, "PYTHONPATH": ""}
    subprocess.run(command, cwd=project, env=environment, check=True, capture_output=True)
    [wheel] = set(cut.glob("*.whl")) - before
    return wheel


def resolve(source: Path, lock: Path) -> Path:
    """Write the hash-pinned dependencies of the service and its extras: the versions that the workspace tests."""
    uv = Path(sys.executable).parent / "uv"
    command: list[str | Path] = [uv, "pip", "compile", "--quiet", source / SERVICE / "pyproject.toml", "--all-extras"]
    command += ["--universal", "--python-version", "3.11", "--generate-hashes", "--no-emit-package", "bascule"]
    command += ["--no-emit-index-url", "--no-annotate", "--no-header"]
    command += ["--constraints", source / "requirements.lock", "--output-file", lock]
    subprocess.run(command, cwd=source, check=True, stdout=subprocess.DEVNULL)
    return lock


def artefact(path: Path) -> dict[str, str]:
    """Return a file as the manifest vouches for it."""
    return {"file": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


if __name__ == "__main__":
    main()
