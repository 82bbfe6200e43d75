"""The parts of one key manager process, put together from its settings."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cached_property
from typing import TYPE_CHECKING

import sqlalchemy as sa

from bascule.errors import LifecycleError
from bascule.lifecycle import Member, OutOfTouch, Registry
from bascule.release import Release
from bascule.rpc import EmbeddedTransport
from bascule.schema import SchemaEngine
from bascule.schema.state import Phase
from bascule_keymanager.config import Settings
from bascule_keymanager.crypto.configured import crypto_plugins, plugin_names
from bascule_keymanager.crypto.plugin import CryptoPlugin
from bascule_keymanager.errors import ConfigRefused
from bascule_keymanager.identity import RELEASE, SERVICE, SUPPORTED_FROM, instance_name
from bascule_keymanager.migrations.base import create_base, has_base
from bascule_keymanager.migrations.changes import CHANGES, ORDERS_SEALED
from bascule_keymanager.sharing import SharedSchema
from bascule_keymanager.storage.database import Database
from bascule_keymanager.storage.holdings import Holdings
from bascule_keymanager.storage.order_sealing import OrderSealing
from bascule_keymanager.storage.order_seals import SEALED_SINCE, OrderSeals
from bascule_keymanager.storage.orders import OrderStore
from bascule_keymanager.storage.projects import Project, Projects
from bascule_keymanager.storage.rotations import RotationStore
from bascule_keymanager.storage.secret_counts import NOTED_SINCE, SecretCounts
from bascule_keymanager.storage.secrets import SecretStore
from bascule_keymanager.storage.versions import VersionStore
from bascule_keymanager.stores.configured import Stores, Writer
from bascule_keymanager.stores.crypto import CryptoStore
from bascule_keymanager.stores.elsewhere import first_of, writers_elsewhere
from bascule_keymanager.stores.preferred import Plugins, PreferredStores

if TYPE_CHECKING:
    from bascule_keymanager.broker import Broker

__all__ = ["Parts", "SchemaMovedOn", "SchemaNotReady"]

_READY = (Phase.SYNCED, Phase.FENCED, *Phase.WITHOUT_OLD)


class SchemaNotReady(LifecycleError):
    """This release needs schema changes that are not there; the process must not start."""

    def __init__(self, missing: str, command: str) -> None:
        self.missing = missing
        super().__init__(
            f"release {RELEASE} of the key manager cannot start: {missing}",
            next_command=f"keymanager-db-manage {command}",
        )


class SchemaMovedOn(LifecycleError):
    """A newer release no longer keeps what this one needs; the process must not start."""

    def __init__(self, change: str, release: str) -> None:
        self.change, self.release = change, release
        super().__init__(
            f"release {RELEASE} of the key manager cannot start: {release} no longer keeps what it needs ({change}); "
            f"start {release} instead, or take that back with its keymanager-db-manage rollback --keep-synced"
        )


def _no_choice(_project: Project) -> None:
    return None


class Parts:
    """Everything that the programs are made of; each part is made when it is first asked for."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.member: Member | None = None

    @cached_property
    def database(self) -> Database:
        """The database's two pools."""
        settings = self.settings
        return Database(
            settings.database_url, pool_size=settings.pool_size, sqlite_synchronous=settings.sqlite_synchronous
        )

    @cached_property
    def crypto_plugins(self) -> dict[str, CryptoPlugin]:
        """The crypto plugins, by the names that they have in `kek_data`; the first seals what is new."""
        return crypto_plugins(self.settings)

    @cached_property
    def stores(self) -> Stores:
        """The secret stores."""
        plugins = self.crypto_plugins
        writers = {
            name: Writer(CryptoStore(self.projects, plugin, plugins), since=plugin.since)
            for name, plugin in plugins.items()
        }
        choosable: dict[Plugins, Writer] = {
            ("store_crypto", short): writers[name] for short, name in plugin_names(plugins).items()
        }
        ordered = list(writers.values())
        first = first_of(self.settings)
        for name, elsewhere in writers_elsewhere(self.settings).items():
            choosable[name, None] = elsewhere
            ordered.insert(0 if name == first else len(ordered), elsewhere)
        choice = PreferredStores(choosable, self._choice_of) if self.settings.secret_stores else _no_choice
        return Stores(ordered, preferred=choice, speaking=lambda: self.speaking())  # noqa: PLW0108 - who we are is known later

    def _choice_of(self, project_id: str) -> Plugins | None:
        chosen = self.holdings.secret_stores.preferred(project_id)
        return (chosen.store_plugin, chosen.crypto_plugin) if chosen is not None else None

    @contextmanager
    def speaking(self) -> Iterator[Release]:
        """Give the pin for the length of a block; the lowest there is while nobody can say whether we live.

        A command, which is no member of the fleet, looks at the fleet's.
        """
        if self.member is None:
            yield self.registry.status()[0] or SUPPORTED_FROM
            return
        with ExitStack() as speech:
            try:
                pin = speech.enter_context(self.member.speaking()).pin
            except OutOfTouch:
                pin = SUPPORTED_FROM  # what the first release reads may be written by whoever was taken for dead, too
            yield pin

    @contextmanager
    def noted(self) -> Iterator[int | None]:
        """Give the pin's epoch for the length of a block; None unless all who write secrets note so meanwhile."""
        with ExitStack() as speech:
            epoch = None
            if self.member is not None and self.settings.messaging.barbican is None:
                with suppress(OutOfTouch):
                    said = speech.enter_context(self.member.speaking())
                    epoch = said.epoch if said.pin >= NOTED_SINCE else None
            yield epoch

    @contextmanager
    def taking_part(self) -> Iterator[None]:
        """Be in the fleet for the length of a command: whoever moves the pin waits for what is in hand.

        As one that knows no more than the pin says, so that the pin does not rise because of us, and may be lowered.
        Raises PinTooNew or PinTooOld when the pin has just been moved: ask again.
        """
        pin = self.registry.status()[0] or SUPPORTED_FROM
        registry = Registry(self.database.writer, service=SERVICE, release=pin, supported_from=SUPPORTED_FROM)
        with registry.join(f"{instance_name()} command {os.getpid()}", "command") as member:
            self.member = member
            try:
                yield
            finally:
                self.member = None

    @cached_property
    def projects(self) -> Projects:
        """Projects and their keys."""
        return Projects(self.database)

    @cached_property
    def secrets(self) -> SecretStore:
        """Secrets and their payloads."""
        return SecretStore(self.database, self.stores, self.holdings.quotas, SecretCounts(self.noted))

    @cached_property
    def versions(self) -> VersionStore:
        """Versions of secrets."""
        settings = self.settings
        return VersionStore(
            self.database, self.stores, most=settings.max_versions, most_of_a_key=settings.max_key_versions
        )

    @cached_property
    def rotations(self) -> RotationStore:
        """Keys that are made anew."""
        return RotationStore(self.database)

    @cached_property
    def holdings(self) -> Holdings:
        """What else projects keep: containers, consumers, ACLs, user metadata, and how much of it they may."""
        return Holdings.on(self.database, self.settings.quotas)

    @cached_property
    def orders(self) -> OrderStore:
        """Orders."""
        return OrderStore(self.database, self.holdings.quotas, self.order_seals)

    @cached_property
    def order_seals(self) -> OrderSeals:
        """What seals the meta of orders."""
        return OrderSeals(self.database, self.projects, self.crypto_plugins)

    @cached_property
    def order_sealing(self) -> OrderSealing:
        """What seals the orders that are there."""
        return OrderSealing(self.database, self.order_seals)

    def seals_orders(self, pin: Release) -> bool:
        """Whether the meta of orders is sealed under this pin; never where a Barbican does our orders."""
        return pin >= SEALED_SINCE and self.settings.messaging.barbican is None

    @cached_property
    def registry(self) -> Registry:
        """Who else of this service runs, and the pin."""
        return Registry(self.database.writer, service=SERVICE, release=RELEASE, supported_from=SUPPORTED_FROM)

    @cached_property
    def transport(self) -> EmbeddedTransport:
        """The way of messages between processes."""
        return EmbeddedTransport(self.database.writer, release=RELEASE)

    @cached_property
    def broker(self) -> "Broker | None":
        """The way over RabbitMQ, where there is one."""
        if self.settings.messaging.url is None:
            return None
        try:
            from bascule_keymanager.broker import Broker  # noqa: PLC0415 - an extra
        except ImportError:
            raise ConfigRefused(None, "transport_url needs oslo.messaging; install bascule[rabbitmq]") from None
        return Broker(self.settings)

    @cached_property
    def schema(self) -> SchemaEngine:
        """The schema changes of this release."""
        return SharedSchema(
            self.database.writer,
            settings=self.settings,
            release=RELEASE,
            changes=CHANGES,
            live_older=self.registry.live_older,
            live_same=self.registry.live_at_least,
            base=create_base,
            on_restore=self._restore,
        )

    def _restore(self, change: str, accept_loss: bool) -> None:
        if change == ORDERS_SEALED:
            self.order_sealing.put_plain_back(accept_loss=accept_loss)

    def join(self, role: str) -> Member:
        """Open the database, look that the schema is what this release needs, and register this process.

        Call it in the process that works, after any fork. Raises SchemaNotReady, SchemaMovedOn, PinTooNew, PinTooOld.
        """
        self.require_schema()
        self.registry.create_tables()
        self.transport.create_tables()
        self.database.warm()
        self.member = self.registry.join(instance_name(), role)
        return self.member

    def require_schema(self) -> None:
        """Raise SchemaNotReady or SchemaMovedOn when this release must not run on the database as it is."""
        if not self.database.read(has_base):
            raise SchemaNotReady("its database is empty", "expand")
        for change in self.schema.status():
            if change.release > RELEASE and change.phase in (Phase.FENCED, *Phase.WITHOUT_OLD):
                raise SchemaMovedOn(change.id, str(change.release))
            if change.release <= RELEASE and change.phase not in _READY:
                command = "migrate" if change.phase in (Phase.EXPANDED, Phase.BACKFILLING) else "expand"
                raise SchemaNotReady(f"schema change {change.id} is {change.phase}, and must be synced", command)

    def has_orders(self) -> bool:
        """Whether the database has the table of orders at all."""
        return self.database.read(lambda connection: sa.inspect(connection).has_table("orders"))
