"""The layers around the application, from the outside: envelope, CORS, proxy headers, the gate, audit."""

from dataclasses import dataclass, field

from oslo_config import cfg

from bascule_keymanager.api.envelope import Envelope
from bascule_keymanager.api.header_gate import HeaderGate
from bascule_keymanager.api.health import Condition
from bascule_keymanager.api.metrics import Metrics
from bascule_keymanager.api.microversions import LATEST, Maximum
from bascule_keymanager.api.wsgi import WsgiApp
from bascule_keymanager.config import Settings
from bascule_keymanager.log import get_log
from bascule_keymanager.policy.policies import Policies
from bascule_keymanager.stores.configured import Speaking, at_this_release

__all__ = ["Frame", "enclose"]

log = get_log()

_IDENTITY_HEADERS = ["X-Project-Id", "X-User-Id", "X-Roles", "X-Domain-Id", "X-User-Domain-Id", "X-Project-Domain-Id"]
_CORS_HEADERS = [
    *("X-Auth-Token", "X-Storage-Token", "X-Identity-Status", "X-Openstack-Request-Id", "OpenStack-API-Version"),
    *_IDENTITY_HEADERS,
]


@dataclass(frozen=True, slots=True)
class Frame:
    """What the application shares with its process: policies, the newest version to show, health, figures, the pin."""

    policies: Policies
    condition: Condition = field(default_factory=lambda: Condition(None))
    maximum: Maximum = lambda: LATEST
    metrics: Metrics | None = None
    speaking: Speaking = at_this_release

    @classmethod
    def of(cls, settings: Settings) -> "Frame":
        """Return the frame of an application that no process surrounds. Raises PolicyRefused."""
        return cls(Policies(settings.options))


def enclose(app: WsgiApp, settings: Settings, frame: Frame) -> WsgiApp:
    """Return the application with everything around it that the settings ask for. Raises ConfigRefused."""
    options = settings.options
    api = app
    if settings.audit_map_file:
        from bascule_keymanager.api.audit import audited  # noqa: PLC0415 - large, and used by few

        api = audited(app, settings.audit_map_file, options)
    inner = _gate(api, app, settings, frame)
    if _is_set(options, "oslo_middleware", "enable_proxy_headers_parsing"):
        inner = _behind_proxy(inner, options)
    if _is_set(options, "cors", "allowed_origin"):
        inner = _shared_with_browsers(inner, options)
    return Envelope(inner, frame.metrics, access_log=settings.access_log)


def _gate(api: WsgiApp, public: WsgiApp, settings: Settings, frame: Frame) -> WsgiApp:
    if settings.auth_strategy == "noauth":
        log.warning("NO AUTHENTICATION: everybody is whoever their headers say", hint="auth_strategy = keystone")
        return HeaderGate(api, public, allow_anonymous=settings.allow_anonymous_access)
    from bascule_keymanager.api.token_gate import TokenGate  # noqa: PLC0415 - large, and nothing for developers

    gate = TokenGate(
        api,
        public,
        settings.options,
        allow_anonymous=settings.allow_anonymous_access,
        keep_headers=settings.audit_map_file is not None,
    )
    if frame.metrics is not None:
        cache = gate.cache
        frame.metrics.watch(
            {
                "tokens_remembered": ("Tokens that Keystone is not asked about again for now.", lambda: len(cache)),
                "token_cache_hits": ("Requests whose token was remembered.", lambda: cache.hits),
                "token_cache_misses": ("Requests whose token was not.", lambda: cache.misses),
            }
        )
    return gate


def _behind_proxy(app: WsgiApp, options: cfg.ConfigOpts) -> WsgiApp:
    from oslo_middleware import HTTPProxyToWSGI  # noqa: PLC0415 - as above

    proxied: WsgiApp = HTTPProxyToWSGI(app, options)
    return proxied


def _shared_with_browsers(app: WsgiApp, options: cfg.ConfigOpts) -> WsgiApp:
    from oslo_middleware import cors  # noqa: PLC0415 - as above

    cors.set_defaults(
        allow_headers=_CORS_HEADERS,
        expose_headers=_CORS_HEADERS,
        allow_methods=["GET", "PUT", "POST", "DELETE", "PATCH"],
    )
    shared: WsgiApp = cors.CORS(app, options)
    return shared


def _is_set(options: cfg.ConfigOpts, section: str, name: str) -> bool:
    """Whether the file says something, and not nothing, for an option that a library declares when it is used."""
    option = cfg.StrOpt(name)
    probe = cfg.ConfigOpts()
    probe.register_opt(option, group=section)
    probe(args=[], project=options.project, default_config_files=options.default_config_files, default_config_dirs=[])
    value = probe[section][name]
    return bool(value) and str(value).lower() not in ("false", "0", "no", "off")
