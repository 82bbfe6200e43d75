"""keymanager-worker: do orders until SIGTERM."""

from bascule.lifecycle import run_loop
from bascule_keymanager.cli.refusal import config_file_of, refusals
from bascule_keymanager.config import load_settings
from bascule_keymanager.log import configure_log
from bascule_keymanager.worker.process import WorkerProcess

__all__ = ["main"]

_POLL_S = 0.1


def main() -> None:
    """Work; exit code 0 after the order in hand is finished, 1 after a refusal or a loss."""
    path = config_file_of("keymanager-worker", "Do the key manager's orders until SIGTERM.")
    configure_log("keymanager-worker")
    with refusals():
        settings = load_settings(path)
        process = WorkerProcess(settings)
        code = run_loop(
            process.step,
            on_start=process.start,
            on_drain=process.drain,
            on_stop=process.stop,
            sweep=process.sweep,
            poll_s=_POLL_S,
            sweep_s=settings.sweep_interval_s,
        )
    raise SystemExit(code)
