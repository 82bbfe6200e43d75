"""Keep processes of a command running: `python -m bascule.lifecycle --count 2 -- keymanager-api`."""

import logging
import sys

import click

from bascule.errors import BasculeError
from bascule.lifecycle.supervision import Supervision
from bascule.lifecycle.supervisor import supervise

__all__ = ["main"]


@click.command(context_settings={"ignore_unknown_options": True})
@click.option("--count", default=1, show_default=True, type=click.IntRange(1), help="How many processes.")
@click.option("--no-socket", is_flag=True, help="The command does not listen (a worker).")
@click.option("--ready-within", default=60.0, show_default=True, help="Seconds until a process must be ready.")
@click.option("--stop-within", default=60.0, show_default=True, help="Seconds that a drain may take.")
@click.option("--watchdog", type=float, help="Seconds without a sign of life after which a process is replaced.")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def main(
    count: int,
    no_socket: bool,
    ready_within: float,
    stop_within: float,
    watchdog: float | None,
    command: tuple[str, ...],
) -> None:
    """Run COMMAND until SIGTERM; SIGHUP replaces its processes without a gap.

    Exit code 0: nothing that was accepted is abandoned. 1: the log names what is, or why nothing started.
    """
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    wanted = Supervision(
        command,
        count=count,
        listens=not no_socket,
        ready_within_s=ready_within,
        stop_within_s=stop_within,
        watchdog_s=watchdog,
    )
    try:
        code = supervise(wanted)
    except BasculeError as refusal:
        click.echo(refusal.sentence, err=True)
        code = refusal.exit_code
    sys.exit(code)


if __name__ == "__main__":
    main(prog_name="python -m bascule.lifecycle")
