"""keymanager-api: serve the API until SIGTERM."""

from bascule.lifecycle import serve_wsgi
from bascule_keymanager.api.process import ApiProcess
from bascule_keymanager.cli.refusal import config_file_of, refusals
from bascule_keymanager.config import load_settings
from bascule_keymanager.log import configure_log

__all__ = ["main"]

# Slow uploads hold a thread each while they trickle in.
_THREADS = 32


def main() -> None:
    """Serve; exit code 0 after a clean drain, 1 after a refusal or a loss."""
    path = config_file_of("keymanager-api", "Serve the key manager's API until SIGTERM.")
    configure_log("keymanager-api")
    with refusals():
        process = ApiProcess(load_settings(path))
        serve_wsgi(
            process.make_app, on_start=process.start, on_drain=process.drain, on_stop=process.stop, threads=_THREADS
        )
