"""The gate of every deployment: a token, which Keystone confirms."""

import datetime as dt
import json
import time
from collections.abc import Iterable, Mapping
from typing import Any

from keystoneauth1.exceptions import ClientException
from keystonemiddleware.auth_token import AuthProtocol
from keystonemiddleware.opts import list_auth_token_opts
from oslo_config import cfg

from bascule_keymanager.api.environment import CALLER, is_guarded
from bascule_keymanager.api.identity import ANONYMOUS, caller_in
from bascule_keymanager.api.token_cache import Confirmed, Inquiries, TokenCache
from bascule_keymanager.api.wsgi import Environ, StartResponse, WsgiApp
from bascule_keymanager.errors import ConfigRefused
from bascule_keymanager.log import get_log

__all__ = ["TokenGate"]

log = get_log()

# With memcached, other hosts share what Keystone said; our own memory is then only the first of two, and a short one.
_TTL_BESIDE_MEMCACHED_S = 60.0
_KEY = "keymanager.token_key"
_NO_MEMORY = "keymanager.no_memory"
_KEYSTONE_AWAY = "The identity service cannot be asked at the moment."
_ADMITTED = "keymanager.admitted"
_INQUIRY = "keymanager.inquiry"
# A Keystone that cannot be reached costs each request seconds: for this long, nobody else tries.
_PAUSE_S = 1.0
_CONNECT_TIMEOUT_S = 10
# Who waits for another request's answer asks for itself after so long.
_LONGEST_WAIT_S = 15.0

_NAMED = (
    *("USER_ID", "USER_NAME", "USER_DOMAIN_ID", "USER_DOMAIN_NAME", "PROJECT_ID", "PROJECT_NAME"),
    *("PROJECT_DOMAIN_ID", "PROJECT_DOMAIN_NAME", "DOMAIN_ID", "DOMAIN_NAME", "ROLES", "IDENTITY_STATUS"),
)
_OLD_NAMES = ("USER", "TENANT_ID", "TENANT_NAME", "TENANT", "ROLE", "SERVICE_CATALOG", "IS_ADMIN_PROJECT")
# Every header by which keystonemiddleware tells who asks.
_IDENTITY = (
    "HTTP_OPENSTACK_SYSTEM_SCOPE",
    *(f"HTTP_X_{name}" for name in (*_NAMED, *_OLD_NAMES)),
    *(f"HTTP_X_SERVICE_{name}" for name in _NAMED),
)


class TokenGate:
    """Lets in who brings a token that Keystone confirms, by keystonemiddleware's rules and options.

    A confirmed token is remembered for `[keystone_authtoken] token_cache_time` at most, and never beyond its own end;
    a token that is revoked before may be believed for so long. Not remembered: tokens bound to something, and
    application credentials with access rules, which keystonemiddleware judges request by request.
    """

    def __init__(
        self, api: WsgiApp, public: WsgiApp, options: cfg.ConfigOpts, *, allow_anonymous: bool, keep_headers: bool
    ) -> None:
        """Make the middleware; `keep_headers` is for whoever reads them behind this gate. Raises ConfigRefused."""
        self._api, self._public = api, public
        self._allow_anonymous, self._keep_headers = allow_anonymous, keep_headers
        for group, known in list_auth_token_opts():
            options.register_opts(known, group=group)
        options.set_default("http_connect_timeout", _CONNECT_TIMEOUT_S, "keystone_authtoken")
        # Its own memory of tokens would make the revocation window twice as long, and is slower than ours.
        self._protocol = AuthProtocol(self._admit, {"oslo_config_config": options, "cache": _NO_MEMORY})
        section = options.keystone_authtoken
        if not (section.get("auth_type") or section.get("auth_section")):
            raise ConfigRefused(
                None,
                "[keystone_authtoken] auth_type is not set, so no token can be checked; set it as for Barbican, or, "
                "for development only, set [DEFAULT] auth_strategy = noauth",
            )
        self._clock, self._away_until = time.monotonic, 0.0
        self._inquiries = Inquiries()
        self._shares = bool(section.memcached_servers)
        ttl_s = float(section.token_cache_time)
        self.cache = TokenCache(min(ttl_s, _TTL_BESIDE_MEMCACHED_S) if self._shares else ttl_s)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Pass the request on, with who sends it, or answer with 401 or 503."""
        if not is_guarded(environ["PATH_INFO"]):
            return self._public(environ, start_response)
        token = environ.get("HTTP_X_AUTH_TOKEN") or environ.get("HTTP_X_STORAGE_TOKEN")
        if not token:
            return self._ask_keystone(environ, start_response)
        key = self.cache.key(token.strip(), environ.get("HTTP_X_SERVICE_TOKEN"))
        known = self.cache.find(key)
        if known is not None:
            return self._let_in(known, environ, start_response)
        environ[_KEY] = key
        if not self.cache.remembers:
            return self._ask_keystone(environ, start_response)
        return self._ask_once(key, environ, start_response)

    def _let_in(self, known: Confirmed, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if self._keep_headers:
            _replace_headers(environ, known.headers)
        environ[CALLER] = known.caller
        return self._api(environ, start_response)

    def _ask_once(self, key: bytes, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Ask Keystone, unless another request is asking about the same token: then wait for what it learns."""
        inquiry, first = self._inquiries.begin(key)
        if not first:
            inquiry.wait(_LONGEST_WAIT_S)
            known = self.cache.find(key)
            if known is not None:
                return self._let_in(known, environ, start_response)
            return self._ask_keystone(environ, start_response)
        environ[_INQUIRY] = inquiry
        try:
            return self._ask_keystone(environ, start_response)
        finally:
            self._inquiries.end(key, inquiry)

    def _ask_keystone(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if not self._shares:
            environ[_NO_MEMORY] = _NoMemory()
        if self._clock() < self._away_until:
            return _unavailable(start_response)

        refused = False

        def start(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:  # Any: WSGI's
            nonlocal refused
            if status.startswith("503") and _ADMITTED not in environ:
                refused = True
                return lambda _body: None  # its words are a page for browsers; ours follow
            return start_response(status, headers, *more)

        try:
            answer: Iterable[bytes] = self._protocol(environ, start)
        except ClientException as failure:  # what keystonemiddleware does not turn into an answer itself
            error = type(failure).__name__  # its text may hold what was sent
            log.error("token not checked", error=error, hint="look at [keystone_authtoken]")  # noqa: TRY400
            refused = True
        if refused:
            self._away_until = self._clock() + _PAUSE_S
            return _unavailable(start_response)
        return answer

    def _admit(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Take a request that keystonemiddleware let pass; it may have put off its refusal."""
        environ[_ADMITTED] = True
        if environ.get("HTTP_X_IDENTITY_STATUS") == "Confirmed":
            caller = caller_in(environ)
            if caller is not None:
                environ[CALLER] = caller
                valid_s = _valid_s(environ)
                if valid_s is not None:
                    headers = _identity_headers(environ) if self._keep_headers else {}
                    self.cache.keep(environ[_KEY], caller, valid_s, headers)
        elif self._allow_anonymous:
            environ[CALLER] = ANONYMOUS
        if _INQUIRY in environ:  # what is left to do is this request's own
            self._inquiries.end(environ[_KEY], environ[_INQUIRY])
        return self._api(environ, start_response)


class _NoMemory:
    """The cache that keystonemiddleware asks for: it never remembers."""

    def get(self, _key: str) -> None:
        return None

    def set(self, _key: str, _value: object, time: float | None = None) -> None:
        del time  # nothing is kept for any time


def _valid_s(environ: Environ) -> float | None:
    """Return for how long this request's tokens may be believed; None when they are for this request alone."""
    token = environ["keystone.token_info"].get("token", {})
    if token.get("bind") or (token.get("application_credential") or {}).get("access_rules") is not None:
        return None
    brought = environ["keystone.token_auth"]
    now = dt.datetime.now(dt.UTC)
    left = [(reference.expires - now).total_seconds() for reference in (brought.user, brought.service) if reference]
    # A user's token that ended is good as long as the service's beside it, if keystonemiddleware says so.
    return min((seconds for seconds in left if seconds > 0), default=None)


def _identity_headers(environ: Environ) -> dict[str, str]:
    return {name: value for name in _IDENTITY if (value := environ.get(name)) is not None}


def _replace_headers(environ: Environ, headers: Mapping[str, str]) -> None:
    for name in _IDENTITY:
        environ.pop(name, None)
    environ.update(headers)


def _unavailable(start_response: StartResponse) -> Iterable[bytes]:
    body = json.dumps({"code": 503, "title": "Service Unavailable", "description": _KEYSTONE_AWAY}).encode()
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body))), ("Retry-After", "1")]
    start_response("503 Service Unavailable", headers)
    return [body]
