"""keymanager-listener: end projects that the identity service deleted, until SIGTERM."""

from bascule.lifecycle import run_loop
from bascule_keymanager.cli.refusal import config_file_of, refusals
from bascule_keymanager.config import load_settings
from bascule_keymanager.errors import ConfigRefused
from bascule_keymanager.log import configure_log

__all__ = ["main"]


def main() -> None:
    """Listen; exit code 0 after the notification in hand is finished, 1 after a refusal."""
    path = config_file_of("keymanager-listener", "End projects that Keystone deleted, until SIGTERM.")
    configure_log("keymanager-listener")
    with refusals():
        settings = load_settings(path)
        try:
            from bascule_keymanager.listener.process import ListenerProcess  # noqa: PLC0415 - needs an extra
        except ImportError:
            raise ConfigRefused(None, "the listener needs oslo.messaging; install bascule[rabbitmq]") from None
        process = ListenerProcess(settings)
        code = run_loop(process.step, on_start=process.start, on_drain=process.drain, on_stop=process.stop)
    raise SystemExit(code)
