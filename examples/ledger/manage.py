"""The ledger's schema: `python -m ledger.manage RELEASE expand|migrate|fence|contract|...`."""

import sys

import click

from bascule.schema.alembic import alembic_cli
from ledger.service import RELEASES, Parts


def main() -> None:
    """Run one phase with the revisions of one release."""
    release = sys.argv.pop(1) if len(sys.argv) > 1 else ""
    if release not in RELEASES:
        raise click.UsageError(f"give a release first: {', '.join(RELEASES)}")
    parts = Parts(release)
    group = alembic_cli(
        parts.alembic,
        release=parts.release,
        live_older=parts.registry.live_older,
        live_same=parts.registry.live_at_least,
    )
    group(prog_name=f"python -m ledger.manage {release}")


if __name__ == "__main__":
    main()
