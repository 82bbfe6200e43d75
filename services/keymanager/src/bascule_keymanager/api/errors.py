"""What an HTTP client is told when a request is refused or fails, in Barbican's words and shape."""

import functools
import http
import json
from collections.abc import Callable
from typing import Any, TypeVar

import falcon

from bascule.errors import BasculeError
from bascule.lifecycle import OutOfTouch
from bascule_keymanager.errors import HsmFailed, StoreFailed, StoreLacks
from bascule_keymanager.log import get_log
from bascule_keymanager.storage.database import Unstorable, trouble_of
from bascule_keymanager.storage.quotas import QuotaReached
from bascule_keymanager.storage.rows import Gone

__all__ = ["ApiRefusal", "BodyRefused", "IssueSeen", "NotAllowed", "install_error_handlers", "operation"]

F = TypeVar("F", bound=Callable[..., None])
log = get_log()

# What is told of a secret or container that is not there.
_GONE = {
    "secrets": "Secret not found.",
    "containers": "Secrets container not found.",
    "projects": "Project not found.",
}

_RETRY_AFTER_S = 1


class ApiRefusal(BasculeError):
    """The request is refused, and the client reads exactly this description; one with 503 may be sent again later."""

    def __init__(self, status: int, description: str) -> None:
        self.status, self.description = status, description
        super().__init__(description)


class BodyRefused(ApiRefusal):
    """The JSON body breaks a rule of its schema."""

    def __init__(self, schema: str, reason: str, field: str | None, *, status: int = 400) -> None:
        self.schema, self.reason, self.field = schema, reason, field
        super().__init__(
            status, f"Provided object does not match schema '{schema}': {reason}. Invalid property: '{field}'"
        )


class IssueSeen(ApiRefusal):
    """The operation found something wrong with the request; its name leads the description."""

    def __init__(self, status: int, reason: str) -> None:
        self.reason = reason
        super().__init__(status, reason)


class NotAllowed(ApiRefusal):
    """The caller may not do this to that."""

    def __init__(self) -> None:
        super().__init__(403, "not allowed")


def operation(name: str) -> Callable[[F], F]:
    """Name a responder's operation in what clients are told; what nobody expected is logged and answered with 500."""

    def decorate(responder: F) -> F:
        @functools.wraps(responder)
        def guarded(*args: Any, **kwargs: Any) -> None:  # Any: falcon's responder arguments
            try:
                responder(*args, **kwargs)
            except QuotaReached as reached:
                text = f"{name} issue seen - Creation not allowed because a quota has been reached."
                raise ApiRefusal(403, text) from reached
            except IssueSeen as issue:
                raise ApiRefusal(issue.status, f"{name} issue seen - {issue.reason}.") from issue
            except NotAllowed as refused:
                text = f"{name} attempt not allowed - please review your user/project privileges"
                raise ApiRefusal(403, text) from refused
            except Unstorable as unstorable:
                raise ApiRefusal(400, f"{name} issue seen - The database cannot store a value of the request.") from (
                    unstorable
                )
            except Gone as gone:
                raise ApiRefusal(404, _GONE[gone.table]) from gone
            except (ApiRefusal, falcon.HTTPError):
                raise
            except Exception as failure:
                _log_failure(name, failure)
                raise ApiRefusal(*_told(name, failure)) from failure

        return guarded  # type: ignore[return-value]  # the wrapper has the responder's own signature

    return decorate


def install_error_handlers(app: falcon.App[Any, Any]) -> None:  # Any: our requests and responses are falcon's own
    """Answer every refusal and failure of this application with Barbican's JSON."""
    app.add_error_handler(Exception, _unexpected)
    app.add_error_handler(falcon.HTTPError, _http_error)
    app.add_error_handler(ApiRefusal, _refusal)


def _refusal(_req: falcon.Request, resp: falcon.Response, refusal: ApiRefusal, _params: object) -> None:
    _answer(resp, refusal.status, refusal.description)


def _http_error(req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError, _params: object) -> None:
    # Falcon's own refusals: no such path, no such method. Barbican has no words for them.
    unknown_method = req.method not in falcon.constants.COMBINED_METHODS
    _answer(resp, 405 if unknown_method else error.status_code, "")
    for header, value in (error.headers or {}).items() if isinstance(error.headers, dict) else ():
        resp.set_header(header, value)


def _unexpected(_req: falcon.Request, resp: falcon.Response, failure: Exception, _params: object) -> None:
    _log_failure("System", failure)
    _answer(resp, *_told("System", failure))


def _told(name: str, failure: Exception) -> tuple[int, str]:
    """Return the status and the words for what is not the client's doing: 503 where another try may succeed."""
    reason = _passing(failure)
    if reason is None:
        return 500, f"{name} failure seen - please contact site administrator."
    return 503, f"{name} failure seen - {reason}; try again later, or contact site administrator."


def _passing(failure: Exception) -> str | None:
    if isinstance(failure, StoreLacks):
        return None
    if isinstance(failure, HsmFailed | StoreFailed):
        return "the secret store cannot be used at the moment"
    trouble = trouble_of(failure)
    if trouble == "full":
        return "the database has no room left"
    # Who has not reached the registry of processes has not reached the database.
    return "the database cannot be reached at the moment" if trouble or isinstance(failure, OutOfTouch) else None


def _log_failure(name: str, failure: Exception) -> None:
    # Not the exception's text: SQLAlchemy puts the parameters of the statement there.
    cause = getattr(failure, "orig", None)
    where = failure.__traceback__
    while where is not None and where.tb_next is not None:
        where = where.tb_next
    log.error(
        "request failed",
        operation=name,
        error=type(failure).__name__,
        sentence=failure.sentence if isinstance(failure, BasculeError) else None,
        cause=type(cause).__name__ if cause is not None else None,
        code=getattr(cause, "sqlite_errorname", None) or getattr(cause, "sqlstate", None) or _first_number(cause),
        at=f"{where.tb_frame.f_code.co_filename}:{where.tb_lineno}" if where is not None else None,
    )


def _first_number(cause: object) -> int | None:
    arguments = getattr(cause, "args", ())
    return arguments[0] if arguments and isinstance(arguments[0], int) else None


def _answer(resp: falcon.Response, status: int, description: str) -> None:
    resp.status = status
    resp.content_type = "application/json"
    title = http.HTTPStatus(status).phrase
    if status == http.HTTPStatus.SERVICE_UNAVAILABLE:
        resp.set_header("Retry-After", str(_RETRY_AFTER_S))
    resp.text = json.dumps({"code": status, "title": title, "description": description})
