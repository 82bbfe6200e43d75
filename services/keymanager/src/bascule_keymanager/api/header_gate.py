"""The gate of the no-auth mode: whoever the headers name is who asks. For development, and for nothing else."""

from collections.abc import Iterable

from bascule_keymanager.api.environment import CALLER, is_guarded
from bascule_keymanager.api.identity import ANONYMOUS, developer_in
from bascule_keymanager.api.wsgi import Environ, StartResponse, WsgiApp

__all__ = ["HeaderGate"]


class HeaderGate:
    """Believes every header: for development, and for nothing else."""

    def __init__(self, api: WsgiApp, public: WsgiApp, *, allow_anonymous: bool) -> None:
        self._api, self._public, self._allow_anonymous = api, public, allow_anonymous

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Pass the request on, with who sends it."""
        if not is_guarded(environ["PATH_INFO"]):
            return self._public(environ, start_response)
        caller = developer_in(environ)
        if caller is None and self._allow_anonymous:
            caller = developer_in({"HTTP_X_PROJECT_ID": ANONYMOUS.project, **environ})
        if caller is not None:
            environ[CALLER] = caller
        return self._api(environ, start_response)
