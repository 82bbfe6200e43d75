"""What the layers around the application have in common: WSGI."""

from collections.abc import Callable, Iterable
from typing import Any, Protocol

__all__ = ["Environ", "StartResponse", "WsgiApp"]

Environ = dict[str, Any]  # Any: a WSGI environment
StartResponse = Callable[..., Any]  # Any: WSGI's write callable, which nobody uses


class WsgiApp(Protocol):
    """What answers requests."""

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one."""
