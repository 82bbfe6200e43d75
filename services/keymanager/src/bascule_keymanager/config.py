"""The configuration file, in Barbican's option names, read once into one frozen value."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from oslo_config import cfg

from bascule_keymanager.config_messaging import Messaging, load_messaging
from bascule_keymanager.config_stores import (
    ConfiguredStore,
    KmipSettings,
    VaultSettings,
    load_kmip,
    load_secret_stores,
    load_store_plugins,
    load_vault,
)
from bascule_keymanager.config_transit import TransitSettings, load_transit
from bascule_keymanager.crypto.hsm import P11Settings
from bascule_keymanager.errors import ConfigRefused
from bascule_keymanager.storage.quotas import RESOURCES, Quotas

__all__ = ["Settings", "load_settings"]

_DEFAULT = (
    cfg.StrOpt("host_href", help="Base of the references in answers; without it, they follow the request."),
    cfg.StrOpt(
        "auth_strategy",
        default="keystone",
        choices=["keystone", "noauth"],
        help="keystone: tokens, by [keystone_authtoken]. noauth: headers are believed; for development only.",
    ),
    cfg.BoolOpt("allow_anonymous_access", default=False, help="Serve requests that name nobody."),
    cfg.StrOpt("audit_map_file", help="keystonemiddleware's map of CADF events; without it there is no audit."),
    cfg.BoolOpt("access_log", default=True, help="One line in the log for every request."),
    cfg.IntOpt("max_allowed_request_size_in_bytes", default=25_000, min=1, help="Longest body of a JSON request."),
    cfg.IntOpt("max_allowed_secret_in_bytes", default=20_000, min=1, help="Longest payload."),
    cfg.IntOpt("max_limit_paging", default=100, min=1, help="Largest page of a list."),
    cfg.IntOpt("default_limit_paging", default=10, min=1, help="Page of a list that names no limit."),
)
_HEALTHCHECK = (cfg.StrOpt("disable_by_file_path", help="While this file is there, /healthcheck answers 503."),)
_METRICS = (
    cfg.StrOpt("path", help="Where the API's own port shows Prometheus' figures, without authentication."),
    cfg.StrOpt("listen", help="HOST:PORT of a port for Prometheus alone."),
)
_DATABASE = (
    cfg.StrOpt(
        "connection",
        secret=True,
        deprecated_opts=[cfg.DeprecatedOpt("sql_connection", group="DEFAULT")],
        help="URL of the database: sqlite, postgresql or mysql (MariaDB).",
    ),
    cfg.IntOpt("max_pool_size", default=20, min=1, help="Most connections that one process keeps for one purpose."),
    cfg.BoolOpt("sqlite_synchronous", default=True, help="SQLite waits for the disk at every commit."),
)
_SIMPLE_CRYPTO = (
    cfg.MultiStrOpt("kek", default=[], secret=True, help="Master keys: the first wraps, all are tried for reading."),
)
_CRYPTO = (
    cfg.MultiStrOpt(
        "enabled_crypto_plugins",
        default=["simple_crypto"],
        help="simple_crypto, envelope, p11_crypto: the first seals what is new, all read what they sealed.",
    ),
)
_P11_CRYPTO = (
    cfg.StrOpt("library_path", help="The vendor's PKCS#11 library."),
    cfg.StrOpt("token_serial_number", help="Serial number of the token."),
    cfg.ListOpt("token_labels", default=[], help="Labels of the token, where no serial number is given."),
    cfg.IntOpt("slot_id", default=1, help="The token's slot, where neither is given."),
    cfg.StrOpt("login", secret=True, help="PIN of the token."),
    cfg.BoolOpt("rw_session", default=True, help="Open sessions that may write."),
    cfg.StrOpt("mkek_label", help="Label of the master key that wraps."),
    cfg.IntOpt("mkek_length", default=32, min=1, help="Bytes of that key, where it is made."),
    cfg.StrOpt("hmac_label", help="Label of the master key that signs."),
    cfg.StrOpt("hmac_key_type", default="CKK_AES", help="Type of the key that signs."),
    cfg.StrOpt("hmac_keygen_mechanism", default="CKM_AES_KEY_GEN", help="How that key is made."),
    cfg.StrOpt(
        "hmac_mechanism", default="CKM_SHA256_HMAC", deprecated_name="hmac_keywrap_mechanism", help="Signature."
    ),
    cfg.StrOpt("encryption_mechanism", default="CKM_AES_CBC", help="CKM_AES_CBC or CKM_AES_GCM."),
    cfg.StrOpt("key_wrap_mechanism", default="CKM_AES_CBC_PAD", help="How project keys are wrapped."),
    cfg.BoolOpt("key_wrap_generate_iv", default=True, help="Wrap with a vector of our own."),
    cfg.BoolOpt("always_set_cka_sensitive", default=True, help="Project keys are sensitive though extractable."),
    cfg.IntOpt("pkek_length", default=32, min=16, help="Bytes of a project key."),
    cfg.IntOpt("pkek_cache_ttl", default=900, min=0, help="Seconds for which an unwrapped project key is kept."),
    cfg.IntOpt("pkek_cache_limit", default=1_000, min=1, help="Most unwrapped project keys that are kept."),
)
_QUEUE = (
    cfg.BoolOpt("enable", default=True, help="Orders are always the worker's; False is warned about."),
    cfg.IntOpt("asynchronous_workers", default=1, min=1, help="Kept for Barbican's files; one worker process is one."),
)
_WORKER = (
    cfg.FloatOpt("sweep_interval_s", default=1.5, min=0.1, help="Pause between two looks for forgotten orders."),
    cfg.FloatOpt("sweep_age_s", default=1.0, min=0.0, help="An order this old and still PENDING is swept up."),
    cfg.IntOpt("clean_after_days", default=-1, min=-1, help="Remove what was deleted so many days ago; -1 is never."),
)
_VERSIONS = (
    cfg.IntOpt("max_versions", default=10, min=2, max=1_000, help="Most versions of one secret; the oldest go."),
    cfg.IntOpt(
        "max_key_versions",
        default=400,
        min=2,
        max=1_000,
        help="Most versions of one symmetric key, none of which goes before its payload was destroyed.",
    ),
)
_QUOTAS = tuple(
    cfg.IntOpt(f"quota_{name}", default=-1, help=f"Most {name} of one project; -1 is no limit.") for name in RESOURCES
)


@dataclass(frozen=True, slots=True)
class Settings:
    """What a key manager process needs to know; keys and the database URL never appear in its repr."""

    database_url: str = field(repr=False)
    keks: tuple[str, ...] = field(repr=False)
    host_href: str | None = None
    auth_strategy: str = "keystone"
    allow_anonymous_access: bool = False
    audit_map_file: str | None = None
    access_log: bool = True
    disable_by_file_path: str | None = None
    metrics_path: str | None = None
    metrics_listen: str | None = None
    max_request_bytes: int = 25_000
    max_secret_bytes: int = 20_000
    max_limit: int = 100
    default_limit: int = 10
    pool_size: int = 20
    sqlite_synchronous: bool = True
    crypto_plugins: tuple[str, ...] = ("simple_crypto",)
    p11: P11Settings = field(default_factory=P11Settings)
    store_plugins: tuple[str, ...] = ("store_crypto",)
    vault: VaultSettings = field(default_factory=VaultSettings)
    kmip: KmipSettings = field(default_factory=KmipSettings)
    transit: TransitSettings = field(default_factory=TransitSettings)
    queue_enabled: bool = True
    messaging: Messaging = field(default_factory=Messaging)
    sweep_interval_s: float = 1.5
    sweep_age_s: float = 1.0
    clean_after_days: int | None = None
    quotas: Quotas = field(default_factory=Quotas)
    max_versions: int = 10
    max_key_versions: int = 400
    secret_stores: tuple[ConfiguredStore, ...] = ()
    # The file itself, for the libraries that read sections of their own: authtoken, policies, CORS, audit.
    options: cfg.ConfigOpts = field(default_factory=lambda: _parsed([]), repr=False, compare=False)


def load_settings(config_file: str | None = None) -> Settings:
    """Read the file named here or by KEYMANAGER_CONFIG. Raises ConfigRefused."""
    path = config_file or os.environ.get("KEYMANAGER_CONFIG")
    if not path:
        raise ConfigRefused(None, "no file is named")
    if not Path(path).is_file():
        raise ConfigRefused(path, "there is no such file")
    try:
        conf = _parsed([path])
        return _settings(conf, path)
    except cfg.Error as unreadable:
        raise ConfigRefused(path, _without_values(unreadable)) from None


def _parsed(files: list[str]) -> cfg.ConfigOpts:
    conf = cfg.ConfigOpts()
    conf.register_opts(_DEFAULT)
    conf.register_opts(_DATABASE, group="database")
    conf.register_opts(_SIMPLE_CRYPTO, group="simple_crypto_plugin")
    conf.register_opts(_CRYPTO, group="crypto")
    conf.register_opts(_P11_CRYPTO, group="p11_crypto_plugin")
    conf.register_opts(_QUEUE, group="queue")
    conf.register_opts(_WORKER, group="worker")
    conf.register_opts(_QUOTAS, group="quotas")
    conf.register_opts(_VERSIONS, group="versions")
    conf.register_opts(_HEALTHCHECK, group="healthcheck")
    conf.register_opts(_METRICS, group="metrics")
    conf(args=[], project="keymanager", default_config_files=files, default_config_dirs=[])
    return conf


def _without_values(problem: cfg.Error) -> str:
    # oslo.config repeats the offending value, which may be a key: name the option only.
    if isinstance(problem, cfg.ConfigFileValueError):
        return "an option has a value of the wrong type"
    if isinstance(problem, cfg.ConfigFileParseError):
        return "it is not in oslo.config's format"
    return type(problem).__name__


def _settings(conf: cfg.ConfigOpts, path: str) -> Settings:
    if not conf.database.connection:
        raise ConfigRefused(path, "[database] connection is not set")
    # Since its 2026.1 Barbican has no default key either: a well-known key is worse than none.
    if not conf.simple_crypto_plugin.kek:
        raise ConfigRefused(path, "[simple_crypto_plugin] kek is not set")
    return Settings(
        database_url=conf.database.connection,
        keks=tuple(key.strip().strip("'\"") for key in conf.simple_crypto_plugin.kek),
        host_href=(conf.host_href or "").rstrip("/") or None,
        auth_strategy=conf.auth_strategy,
        allow_anonymous_access=conf.allow_anonymous_access,
        audit_map_file=conf.audit_map_file or None,
        access_log=conf.access_log,
        disable_by_file_path=conf.healthcheck.disable_by_file_path or None,
        metrics_path=conf.metrics.path or None,
        metrics_listen=conf.metrics.listen or None,
        max_request_bytes=conf.max_allowed_request_size_in_bytes,
        max_secret_bytes=conf.max_allowed_secret_in_bytes,
        max_limit=conf.max_limit_paging,
        default_limit=conf.default_limit_paging,
        pool_size=conf.database.max_pool_size,
        sqlite_synchronous=conf.database.sqlite_synchronous,
        crypto_plugins=tuple(conf.crypto.enabled_crypto_plugins),
        p11=P11Settings(
            **{
                option.dest: conf.p11_crypto_plugin[option.dest]
                for option in _P11_CRYPTO
                if option.dest not in ("library_path", "token_labels")
            },
            module=conf.p11_crypto_plugin["library_path"],
            token_labels=tuple(conf.p11_crypto_plugin.token_labels),
        ),
        store_plugins=load_store_plugins(path),
        vault=load_vault(path),
        kmip=load_kmip(path),
        transit=load_transit(path),
        queue_enabled=conf.queue.enable,
        messaging=load_messaging(path),
        sweep_interval_s=conf.worker.sweep_interval_s,
        sweep_age_s=conf.worker.sweep_age_s,
        clean_after_days=conf.worker.clean_after_days if conf.worker.clean_after_days >= 0 else None,
        secret_stores=load_secret_stores(path),
        max_versions=conf.versions.max_versions,
        max_key_versions=conf.versions.max_key_versions,
        quotas=Quotas(**{name: conf.quotas[f"quota_{name}"] for name in RESOURCES}),
        options=conf,
    )
