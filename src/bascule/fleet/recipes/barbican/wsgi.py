# noqa: INP001 (no module of ours: gunicorn loads it from its folder)
"""Barbican's API as a WSGI application for gunicorn, run by Barbican's own interpreter.

It loads the pipeline of paste.ini that the release needs, says who the caller is where that has no identity service,
and names the release and the instance in every answer.
"""

import os
from collections.abc import Callable, Iterable

from barbican.common import policy  # Barbican's environment has these two, ours does not
from paste.deploy import loadapp

_Headers = list[tuple[str, str]]

_IDENTITY = {
    "HTTP_X_PROJECT_ID": "project",
    "HTTP_X_USER_ID": "user",
    "HTTP_X_ROLES": "admin,creator,member",
}
_ANSWERED_BY = [
    (header, os.environ[variable])
    for header, variable in (("X-Bascule-Release", "BASCULE_RELEASE"), ("X-Bascule-Instance", "BASCULE_INSTANCE"))
    if variable in os.environ
]
_pipeline = os.environ["BARBICAN_PIPELINE"]
_app = loadapp(f"config:{os.environ['BARBICAN_PASTE']}#{_pipeline}")
# The first request would make the policies, and one that comes at the same time finds them half made, and fails.
policy.get_enforcer()


def application(environ: dict[str, object], start_response: Callable[..., object]) -> Iterable[bytes]:
    """Answer one request."""
    if _pipeline != "with-keystone":
        for name, value in _IDENTITY.items():
            environ.setdefault(name, value)
        environ["HTTP_X_IDENTITY_STATUS"] = "Confirmed"

    def start(status: str, headers: _Headers, *rest: object) -> object:
        return start_response(status, [*headers, *_ANSWERED_BY], *rest)

    answer: Iterable[bytes] = _app(environ, start)
    return answer
