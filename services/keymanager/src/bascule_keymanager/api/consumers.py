""".../consumers of secrets and of containers: who registered that it uses one."""

from typing import Any

import falcon

from bascule_keymanager.api.answers import send
from bascule_keymanager.api.bodies import CONTAINER_CONSUMER, SECRET_CONSUMER
from bascule_keymanager.api.body import read_json
from bascule_keymanager.api.container_document import container_document
from bascule_keymanager.api.context import caller_of
from bascule_keymanager.api.errors import ApiRefusal, operation
from bascule_keymanager.api.links import page_document, requested_page, resource_url
from bascule_keymanager.api.owners import Doorkeeper, check_id
from bascule_keymanager.api.schema import Schema
from bascule_keymanager.api.secret_document import secret_document
from bascule_keymanager.config import Settings
from bascule_keymanager.storage.consumers import Consumer, ConsumerStore
from bascule_keymanager.storage.containers import ContainerStore
from bascule_keymanager.storage.owners import Owner
from bascule_keymanager.storage.projects import Projects
from bascule_keymanager.storage.rows import Gone
from bascule_keymanager.storage.secrets import SecretStore

__all__ = [
    "ContainerConsumerResource",
    "ContainerConsumersResource",
    "SecretConsumerResource",
    "SecretConsumersResource",
]


class _Register:
    """What both kinds of consumers have in common."""

    def __init__(self, settings: Settings, store: ConsumerStore, projects: Projects, schema: Schema) -> None:
        self._settings, self._store, self._projects, self._schema = settings, store, projects, schema

    def show_page(self, req: falcon.Request, resp: falcon.Response, path: str, entity_id: str) -> None:
        page = requested_page(req, self._settings)
        found, total = self._store.page(entity_id, limit=page.limit, offset=page.offset)
        items = [_document(consumer) for consumer in found]
        send(resp, page_document(req, self._settings, "consumers", page, items, total, path=path))

    def add(self, req: falcon.Request, resp: falcon.Response, entity_id: str) -> None:
        project = self._projects.get_or_create(caller_of(req).project)
        self._store.register(project.id, entity_id, self._values(req))
        # Not where the consumers are found, but where Barbican says they are.
        resp.location = resource_url(req, self._settings, "consumers", f"{entity_id}/consumers")

    def remove(self, req: falcon.Request, entity_id: str, owner: Owner) -> None:
        consumer = self._store.find(entity_id, self._values(req))
        if consumer is None:
            raise _not_found()
        if caller_of(req).project not in (consumer.project, owner.project):
            raise ApiRefusal(403, "Not Allowed. Sorry, only the creator of a consumer can delete it.")
        if not self._store.delete(consumer.id):
            raise _not_found()

    def show(self, resp: falcon.Response, entity_id: str, consumer_id: str) -> None:
        consumer = self._store.get(entity_id, consumer_id)
        if consumer is None:
            raise _not_found()
        send(resp, _document(consumer))

    def _values(self, req: falcon.Request) -> dict[str, str]:
        body = read_json(req, self._settings.max_request_bytes, self._schema.name)
        self._schema.check(body)
        return body


class SecretConsumersResource:
    """The consumers of one secret."""

    def __init__(
        self, settings: Settings, doors: Doorkeeper, store: ConsumerStore, projects: Projects, secrets: SecretStore
    ) -> None:
        self._settings, self._doors, self._secrets = settings, doors, secrets
        self._register = _Register(settings, store, projects, SECRET_CONSUMER)

    @operation("SecretConsumers(s) retrieval")
    def on_get(self, req: falcon.Request, resp: falcon.Response, secret_id: str) -> None:
        """Show one page of them."""
        self._doors.secret(req, secret_id, "secret_consumers:get")
        self._register.show_page(req, resp, f"secrets/{secret_id}/consumers", secret_id)

    @operation("SecretConsumer creation")
    def on_post(self, req: falcon.Request, resp: falcon.Response, secret_id: str) -> None:
        """Register one, and show the secret."""
        self._doors.secret(req, secret_id, "secret_consumers:post")
        self._register.add(req, resp, secret_id)
        self._send_secret(req, resp, secret_id)

    @operation("SecretConsumer deletion")
    def on_delete(self, req: falcon.Request, resp: falcon.Response, secret_id: str) -> None:
        """Take away the one that the body describes, and show the secret."""
        owner = self._doors.secret(req, secret_id, "secret_consumers:delete")
        self._register.remove(req, secret_id, owner)
        self._send_secret(req, resp, secret_id)

    def _send_secret(self, req: falcon.Request, resp: falcon.Response, secret_id: str) -> None:
        found = self._secrets.get_with_consumers(secret_id, caller_of(req).user)
        if found is None:
            raise Gone("secrets")
        secret, _, consumers = found
        send(resp, secret_document(req, self._settings, secret, consumers))


class SecretConsumerResource:
    """One consumer of a secret."""

    def __init__(self, settings: Settings, doors: Doorkeeper, store: ConsumerStore, projects: Projects) -> None:
        self._doors, self._register = doors, _Register(settings, store, projects, SECRET_CONSUMER)

    @operation("SecretConsumer retrieval")
    def on_get(self, req: falcon.Request, resp: falcon.Response, secret_id: str, consumer_id: str) -> None:
        """Show it."""
        check_id("consumer", consumer_id)
        self._doors.secret(req, secret_id, "consumer:get")
        self._register.show(resp, secret_id, consumer_id)


class ContainerConsumersResource:
    """The consumers of one container."""

    def __init__(
        self,
        settings: Settings,
        doors: Doorkeeper,
        store: ConsumerStore,
        projects: Projects,
        containers: ContainerStore,
    ) -> None:
        self._settings, self._doors, self._containers = settings, doors, containers
        self._register = _Register(settings, store, projects, CONTAINER_CONSUMER)

    @operation("ContainerConsumers(s) retrieval")
    def on_get(self, req: falcon.Request, resp: falcon.Response, container_id: str) -> None:
        """Show one page of them."""
        self._doors.container(req, container_id, "container_consumers:get")
        self._register.show_page(req, resp, f"containers/{container_id}/consumers", container_id)

    @operation("ContainerConsumer creation")
    def on_post(self, req: falcon.Request, resp: falcon.Response, container_id: str) -> None:
        """Register one, and show the container."""
        self._doors.container(req, container_id, "container_consumers:post")
        self._register.add(req, resp, container_id)
        self._send_container(req, resp, container_id)

    @operation("ContainerConsumer deletion")
    def on_delete(self, req: falcon.Request, resp: falcon.Response, container_id: str) -> None:
        """Take away the one that the body describes, and show the container."""
        owner = self._doors.container(req, container_id, "container_consumers:delete")
        self._register.remove(req, container_id, owner)
        self._send_container(req, resp, container_id)

    def _send_container(self, req: falcon.Request, resp: falcon.Response, container_id: str) -> None:
        container = self._containers.get(container_id, caller_of(req).user)
        if container is None:
            raise Gone("containers")
        send(resp, container_document(req, self._settings, container))


class ContainerConsumerResource:
    """One consumer of a container."""

    def __init__(self, settings: Settings, doors: Doorkeeper, store: ConsumerStore, projects: Projects) -> None:
        self._doors, self._register = doors, _Register(settings, store, projects, CONTAINER_CONSUMER)

    @operation("ContainerConsumer retrieval")
    def on_get(self, req: falcon.Request, resp: falcon.Response, container_id: str, consumer_id: str) -> None:
        """Show it."""
        check_id("consumer", consumer_id)
        self._doors.container(req, container_id, "consumer:get")
        self._register.show(resp, container_id, consumer_id)


def _document(consumer: Consumer) -> dict[str, Any]:  # Any: JSON
    return {
        "created": consumer.created_at.isoformat(),
        "updated": consumer.updated_at.isoformat(),
        "status": consumer.status,
        **consumer.fields,
    }


def _not_found() -> ApiRefusal:
    return ApiRefusal(404, "Consumer not found.")
