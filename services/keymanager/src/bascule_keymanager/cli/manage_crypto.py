"""keymanager-manage simple_crypto, hsm and payloads: wrap keys again, make new ones, and seal payloads with them."""

from collections.abc import Sequence

import click
import sqlalchemy as sa

from bascule.lifecycle.pin import LIVE_STATES
from bascule.release import Release
from bascule_keymanager.cli.refusal import refusals
from bascule_keymanager.config import load_settings
from bascule_keymanager.crypto.configured import plugin_names
from bascule_keymanager.crypto.p11 import P11Crypto
from bascule_keymanager.crypto.plugin import CryptoPlugin
from bascule_keymanager.crypto.simple import MasterKeys, SimpleCrypto
from bascule_keymanager.errors import KeyManagerError
from bascule_keymanager.service import Parts
from bascule_keymanager.storage.reseal import Resealer
from bascule_keymanager.storage.rewrap import Rewrapper
from bascule_keymanager.storage.tables import encrypted_data
from bascule_keymanager.storage.version_tables import secret_versions

__all__ = ["hsm", "lower_payloads", "payloads", "simple_crypto"]

_AT_ONCE = 100
_PROJECT = click.option("--project", required=True, help="The project's id at the identity service.")
_DRY_RUN = click.option("--dry-run", is_flag=True, help="Only tell what would be done.")


class NotReadByAll(KeyManagerError):
    """A live process could not read what would be written."""

    def __init__(self, plugin: str, since: object, pin: object) -> None:
        super().__init__(
            f"payloads sealed by {plugin} need {since} to be read, and the pin is {pin}; finish that upgrade first",
            next_command="keymanager-manage fleet",
        )


class PinNotHeld(KeyManagerError):
    """Live processes may still write what is about to be rewritten."""

    def __init__(self, release: Release, pin: Release | None) -> None:
        super().__init__(
            f"the pin is {pin or 'not set'}, and not every process works by {release} yet; hold it there first",
            next_command=f"keymanager-manage pin hold {release}",
        )


@click.group("simple_crypto")
def simple_crypto() -> None:
    """Look after the keys of simple_crypto."""


@simple_crypto.command("rewrap_pkek")
@_DRY_RUN
@click.pass_obj
def rewrap_pkek(config_file: str | None, dry_run: bool) -> None:
    """Wrap every project key by the first configured master key."""
    with refusals():
        parts = Parts(load_settings(config_file))
        rewrap = MasterKeys(parts.settings.keks).rewrap
        names = plugin_names(parts.crypto_plugins)
        wrapped = [names["simple_crypto"], names["envelope"]]
        for label in Rewrapper(parts.database).run(wrapped, rewrap, dry_run=dry_run):
            click.echo(f"{'would rewrap' if dry_run else 'rewrapped'} {label}")


@simple_crypto.command("new_pkek")
@_PROJECT
@click.pass_obj
def new_pkek(config_file: str | None, project: str) -> None:
    """Make a new key for a project; what is stored from then on is sealed with it."""
    with refusals():
        parts = Parts(load_settings(config_file))
        plugin = parts.crypto_plugins[SimpleCrypto.plugin_name]
        key = parts.projects.renew_key(parts.projects.get_or_create(project), plugin)
    click.echo(f"new key {key.id}; next: keymanager-manage simple_crypto rewrap_secrets --project {project}")


@simple_crypto.command("rewrap_secrets")
@_PROJECT
@click.pass_obj
def rewrap_secrets(config_file: str | None, project: str) -> None:
    """Seal all payloads of a project with its newest key."""
    with refusals():
        parts = Parts(load_settings(config_file))
        done = _reseal(parts, SimpleCrypto.plugin_name, project=project)
    click.echo(f"{done} payloads")


@click.group()
def payloads() -> None:
    """Look after what is stored of payloads."""


@payloads.command()
@click.option("--to", "plugin", required=True, help="simple_crypto, envelope or p11_crypto.")
@click.option("--project", help="Only this project's.")
@click.pass_obj
def reseal(config_file: str | None, plugin: str, project: str | None) -> None:
    """Move payloads to the newest key of one plugin, in batches. Safe to stop, and to run while everything works."""
    with refusals():
        parts = Parts(load_settings(config_file))
        names = plugin_names(parts.crypto_plugins)
        if plugin not in names:
            raise click.UsageError(f"{plugin} is not configured; there are {', '.join(names)}")
        done = _reseal(parts, names[plugin], project=project)
    click.echo(f"{done} payloads")


def lower_payloads(parts: Parts, release: Release) -> int:
    """Move what `release` does not read to the first plugin whose payloads it reads; return how many moved.

    Raises PinNotHeld while a live process may write more of that, and what a batch raises.
    """
    pin, epoch, held, processes = parts.registry.status()
    behind = [one for one in processes if one.state in LIVE_STATES and one.acknowledged_epoch < epoch]
    if behind or held is None or held > release or pin is None or pin > release:
        raise PinNotHeld(release, pin)
    unread = [name for name, plugin in parts.crypto_plugins.items() if not _is_read_by(release, plugin)]
    # There is one: simple_crypto is always among the plugins, and every release reads it.
    readable = next(name for name in parts.crypto_plugins if name not in unread)
    return _reseal(parts, readable, project=None, sealed_by=unread)


def _is_read_by(release: Release, plugin: CryptoPlugin) -> bool:
    return plugin.since is None or plugin.since <= release


def _reseal(parts: Parts, plugin_name: str, *, project: str | None, sealed_by: Sequence[str] | None = None) -> int:
    plugins = parts.crypto_plugins
    plugin = plugins[plugin_name]
    tables = [encrypted_data]
    # A release that a fleet goes back to reads no versions, and may have a schema without them.
    if sealed_by is None and parts.database.read(
        lambda connection: sa.inspect(connection).has_table(secret_versions.name)
    ):
        tables.append(secret_versions)
    resealers = [
        Resealer(parts.database, parts.projects, plugins, plugin, sealed_by=sealed_by, table=table) for table in tables
    ]
    if plugin.since is None:  # every release reads it
        return sum(_to_the_end(parts, resealer, plugin, project) for resealer in resealers)
    with parts.speaking() as pin:
        _require_read(plugin, pin)
    with parts.taking_part():
        return sum(_to_the_end(parts, resealer, plugin, project) for resealer in resealers)


def _require_read(plugin: CryptoPlugin, pin: Release) -> None:
    if not _is_read_by(pin, plugin):
        raise NotReadByAll(plugin.plugin_name, plugin.since, pin)


def _to_the_end(parts: Parts, resealer: Resealer, plugin: CryptoPlugin, project: str | None) -> int:
    done, after = 0, ""
    while True:
        # Asked before every batch: the pin may be lowered while this runs.
        with parts.speaking() as pin:
            _require_read(plugin, pin)
            batch = resealer.run_batch(after=after, most=_AT_ONCE, external_id=project)
        done += batch.resealed
        if batch.last is None:
            return done
        after = batch.last


@click.group()
def hsm() -> None:
    """Look after the master keys of a PKCS#11 module, which [p11_crypto_plugin] names."""


def _p11(config_file: str | None) -> P11Crypto:
    return P11Crypto(load_settings(config_file).p11)


def _key_commands(what: str, label_option: str, *, wraps: bool) -> None:
    """Add the two commands of one master key: look for it, and make it."""

    @hsm.command(f"check_{what}", help=f"Whether the module has the key that {'wraps' if wraps else 'signs'}.")
    @click.option("-L", "--label", help=f"Default: {label_option}.")
    @click.pass_obj
    def check(config_file: str | None, label: str | None) -> None:
        with refusals():
            settings = load_settings(config_file).p11
            wanted = label or getattr(settings, label_option)
            found = P11Crypto(settings).find_master_key(wanted, "CKK_AES" if wraps else settings.hmac_key_type)
        if not found:
            raise click.ClickException(f"there is no key labelled {wanted}; make it with hsm gen_{what}")
        click.echo(f"there is a key labelled {wanted}")

    @hsm.command(f"gen_{what}", help=f"Make the key that {'wraps' if wraps else 'signs'}; it never leaves the module.")
    @click.option("-L", "--label", help=f"Default: {label_option}.")
    @click.option("-l", "--length", type=int, help="In bytes.")
    @click.pass_obj
    def generate(config_file: str | None, label: str | None, length: int | None) -> None:
        with refusals():
            settings = load_settings(config_file).p11
            wanted = label or getattr(settings, label_option)
            kind, mechanism = (
                ("CKK_AES", "CKM_AES_KEY_GEN") if wraps else (settings.hmac_key_type, settings.hmac_keygen_mechanism)
            )
            size = length or (settings.mkek_length if wraps else 32)
            P11Crypto(settings).generate_master_key(wanted, kind, mechanism, size, wraps=wraps)
        click.echo(f"made a key labelled {wanted}")


_key_commands("mkek", "mkek_label", wraps=True)
_key_commands("hmac", "hmac_label", wraps=False)


@hsm.command("rewrap_pkek")
@_DRY_RUN
@click.pass_obj
def rewrap_in_module(config_file: str | None, dry_run: bool) -> None:
    """Wrap every project key by the configured master key."""
    with refusals():
        parts = Parts(load_settings(config_file))
        rewrapper = Rewrapper(parts.database)
        for label in rewrapper.run([P11Crypto.plugin_name], _p11(config_file).rewrap, dry_run=dry_run):
            click.echo(f"{'would rewrap' if dry_run else 'rewrapped'} {label}")
