"""Run tests/kmip: our kmip_plugin and real Barbican's on one KMIP server; Barbican is installed in an environment."""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from barbican_recording.servers import AS_OF, BARBICAN, install

PYKMIP = "0.11.0"
TESTS = Path(__file__).parent.parent / "tests" / "kmip"


def main() -> None:
    """Install what is missing, and hand over to pytest."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--environments", type=Path, help="keep the environments here, and use them again")
    chosen, more = arguments.parse_known_args()
    with tempfile.TemporaryDirectory() as name:
        programs = install(chosen.environments or Path(name), "barbican", BARBICAN)
        uv = Path(sys.executable).with_name("uv")
        to = ["--python", programs / "python", "--exclude-newer", AS_OF]
        subprocess.run([uv, "pip", "install", "--quiet", *to, f"pykmip=={PYKMIP}"], check=True)
        environment = os.environ | {"BASCULE_BARBICAN": str(programs)}
        sys.exit(
            subprocess.run([sys.executable, "-m", "pytest", TESTS, *more], env=environment, check=False).returncode
        )


if __name__ == "__main__":
    main()
