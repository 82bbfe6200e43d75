#!/bin/sh
# Make .venv with everything the workspace needs, from Python >= 3.11 with either pip or venv. Safe to run twice.
# Nothing outside this directory is touched, and no root is needed.
set -eu
cd "$(dirname "$0")/.."

want=$(cat requirements.lock pyproject.toml services/keymanager/pyproject.toml | cksum)
if [ -f .venv/.complete ] && [ "$(cat .venv/.complete)" = "$want" ] && .venv/bin/python -c '' 2>/dev/null; then exit 0; fi

find_python() {
    for candidate in ${PYTHON:-} python3 python3.13 python3.12 python3.11; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    echo "bascule needs Python 3.11 or newer, and none was found; install it (for example: apt-get install python3 python3-venv) and run make again" >&2
    exit 1
}

install_uv() {
    # venv first; where Debian ships Python without ensurepip, pip into a directory of our own.
    if "$python" -m venv .tools/uv >/dev/null 2>&1; then
        .tools/uv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r tools/uv-requirements.txt
        return
    fi
    rm -rf .tools/uv
    if "$python" -m pip --version >/dev/null 2>&1; then
        "$python" -m pip install --quiet --disable-pip-version-check --require-hashes --target .tools/uv -r tools/uv-requirements.txt
        return
    fi
    echo "$python has neither venv nor pip; install one (for example: apt-get install python3-venv) and run make again" >&2
    exit 1
}

python=$(find_python)
if [ ! -x .tools/uv/bin/uv ]; then
    echo "setting up: fetching uv (about 5 s)" >&2
    rm -rf .tools/uv
    mkdir -p .tools
    install_uv
fi
echo "setting up: .venv with the locked dependencies (about 15 s)" >&2
rm -f .venv/.complete
.tools/uv/bin/uv venv --quiet --allow-existing --python "$python" .venv
.tools/uv/bin/uv pip install --quiet --python .venv/bin/python --require-hashes -r requirements.lock
.tools/uv/bin/uv pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation -e . -e services/keymanager
printf '%s' "$want" > .venv/.complete
