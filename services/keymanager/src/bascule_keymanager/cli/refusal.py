"""How the programs end when they must not go on: one clear sentence, and the next command to type."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from bascule.errors import BasculeError

__all__ = ["config_file_of", "refusals"]


@contextmanager
def refusals() -> Iterator[None]:
    """Turn a BasculeError into its sentence as the last line on stderr, and exit code 1."""
    try:
        yield
    except BasculeError as refusal:
        command = f"; next: {refusal.next_command}" if refusal.next_command else ""
        print(f"Error: {refusal.sentence}{command}", file=sys.stderr)  # noqa: T201 - a command's last words
        raise SystemExit(1) from None


def config_file_of(program: str, what: str, arguments: list[str] | None = None) -> str | None:
    """Read the one option of a program that has nothing else: the configuration file."""
    import argparse  # noqa: PLC0415 - the commands with click do not need it

    parser = argparse.ArgumentParser(prog=program, description=what)
    parser.add_argument("--config-file", help="default: the file that KEYMANAGER_CONFIG names")
    path: str | None = parser.parse_args(arguments).config_file
    return path
