"""The WSGI application: every path and what answers it."""

from typing import Any

import falcon

from bascule_keymanager.api.acls import ContainerAclResource, SecretAclResource
from bascule_keymanager.api.consumers import (
    ContainerConsumerResource,
    ContainerConsumersResource,
    SecretConsumerResource,
    SecretConsumersResource,
)
from bascule_keymanager.api.containers import ContainerResource, ContainerSecretsResource, ContainersResource
from bascule_keymanager.api.context import Context
from bascule_keymanager.api.errors import install_error_handlers
from bascule_keymanager.api.health import HealthResource, MetricsResource, ReadinessResource
from bascule_keymanager.api.key_uses import KEY_USES, KeyUseResource
from bascule_keymanager.api.metrics import CONTENT_TYPE
from bascule_keymanager.api.orders import AcceptOrder, OrderResource, OrdersResource
from bascule_keymanager.api.own import OWN
from bascule_keymanager.api.owners import Doorkeeper
from bascule_keymanager.api.payloads import PayloadReader, PayloadResource
from bascule_keymanager.api.pipeline import Frame, enclose
from bascule_keymanager.api.quotas import ProjectQuotasResource, ProjectsQuotasResource, QuotasResource
from bascule_keymanager.api.secret_labels import SecretLabelResource, SecretLabelsResource
from bascule_keymanager.api.secret_rotations import RotateNow, SecretRotationResource
from bascule_keymanager.api.secret_stores import (
    GlobalDefaultResource,
    PreferenceResource,
    PreferredResource,
    SecretStoreResource,
    SecretStoresResource,
)
from bascule_keymanager.api.secret_versions import (
    SecretVersionPayloadResource,
    SecretVersionResource,
    SecretVersionsResource,
)
from bascule_keymanager.api.secrets import SecretResource, SecretsResource
from bascule_keymanager.api.transport_keys import TransportKeyResource, TransportKeysResource
from bascule_keymanager.api.unstorable import RefuseNul
from bascule_keymanager.api.user_metadata import MetadataResource, MetadatumResource
from bascule_keymanager.api.version_answers import Versioned
from bascule_keymanager.api.versions import VersionResource, VersionsResource
from bascule_keymanager.api.wsgi import WsgiApp
from bascule_keymanager.config import Settings
from bascule_keymanager.storage.holdings import Holdings
from bascule_keymanager.storage.orders import OrderStore
from bascule_keymanager.storage.projects import Projects
from bascule_keymanager.storage.rotations import RotationStore
from bascule_keymanager.storage.secrets import SecretStore
from bascule_keymanager.storage.versions import VersionStore
from bascule_keymanager.transit.keyring import Keyring

__all__ = ["make_api", "make_app"]


def make_app(
    settings: Settings,
    *,
    secrets: SecretStore,
    versions: VersionStore,
    projects: Projects,
    orders: OrderStore,
    holdings: Holdings,
    accept_order: AcceptOrder,
    rotations: RotationStore,
    rotate_now: RotateNow,
    frame: Frame | None = None,
) -> WsgiApp:
    """Return the application for these stores, in all its layers. Raises ConfigRefused, PolicyRefused."""
    frame = frame or Frame.of(settings)
    app = make_api(
        settings,
        secrets=secrets,
        versions=versions,
        projects=projects,
        orders=orders,
        holdings=holdings,
        accept_order=accept_order,
        rotations=rotations,
        rotate_now=rotate_now,
        frame=frame,
    )
    return enclose(app, settings, frame)


def make_api(
    settings: Settings,
    *,
    secrets: SecretStore,
    versions: VersionStore,
    projects: Projects,
    orders: OrderStore,
    holdings: Holdings,
    accept_order: AcceptOrder,
    rotations: RotationStore,
    rotate_now: RotateNow,
    frame: Frame,
) -> Any:  # Any: as below
    """Return the application itself, with nothing around it: every path and what answers it."""
    app: Any = falcon.App(  # Any: falcon calls the types of WSGI by names of its own
        middleware=[Context(frame.policies, frame.maximum), RefuseNul()]
    )
    app.req_options.strip_url_path_trailing_slash = True
    install_error_handlers(app)
    app.add_route("/", VersionsResource(settings, frame.maximum))
    app.add_route("/v1", VersionResource(settings, frame.maximum))
    app.add_route("/healthcheck", HealthResource(frame.condition))
    app.add_route("/readiness", ReadinessResource(frame.condition))
    if frame.metrics is not None and settings.metrics_path:
        app.add_route(settings.metrics_path, MetricsResource(frame.metrics.render, CONTENT_TYPE))
    reader = PayloadReader(secrets)
    app.add_route("/v1/secrets", SecretsResource(settings, secrets, projects, holdings.transport_keys))
    app.add_route("/v1/secrets/{secret_id}", SecretResource(settings, secrets, projects, reader))
    app.add_route("/v1/secrets/{secret_id}/payload", PayloadResource(reader))
    doors = Doorkeeper(holdings.owners)
    metadata = (settings, doors, holdings.user_metadata)
    app.add_route("/v1/secrets/{secret_id}/metadata", MetadataResource(*metadata))
    app.add_route("/v1/secrets/{secret_id}/metadata/{key}", MetadatumResource(*metadata))
    app.add_route("/v1/secrets/{secret_id}/acl", SecretAclResource(settings, doors, holdings.secret_acls))
    consumers = (settings, doors, holdings.secret_consumers, projects)
    app.add_route("/v1/secrets/{secret_id}/consumers", SecretConsumersResource(*consumers, secrets))
    app.add_route("/v1/secrets/{secret_id}/consumers/{consumer_id}", SecretConsumerResource(*consumers))
    versioned = Versioned(settings, versions, projects, frame.speaking)
    _add_versions(app, versioned, reader)
    rotation = SecretRotationResource(versioned, rotations, rotate_now)
    app.add_route(f"{OWN}/secrets/{{secret_id}}/rotation", rotation)
    _add_stores(app, settings, holdings, projects)
    _add_containers(app, settings, holdings, projects, doors)
    app.add_route("/v1/quotas", QuotasResource(holdings.quotas, projects))
    for path in ("/v1/project-quotas", "/v1/project_quotas"):  # the second is where Barbican's own links lead
        app.add_route(path, ProjectsQuotasResource(settings, holdings.quotas))
    app.add_route("/v1/project-quotas/{project_id}", ProjectQuotasResource(settings, holdings.quotas, projects))
    app.add_route("/v1/orders", OrdersResource(settings, orders, accept_order))
    app.add_route("/v1/orders/{order_id}", OrderResource(settings, orders))
    keyring = Keyring(secrets, versions.reader)
    for use in KEY_USES:
        app.add_route(use.path, KeyUseResource(use, settings.transit, keyring, frame.speaking, frame.metrics))
    return app


def _add_versions(app: falcon.App[Any, Any], versioned: Versioned, reader: PayloadReader) -> None:  # Any: as make_app
    secret = f"{OWN}/secrets/{{secret_id}}"
    app.add_route(f"{secret}/versions", SecretVersionsResource(versioned))
    app.add_route(f"{secret}/versions/{{version}}", SecretVersionResource(versioned))
    app.add_route(f"{secret}/versions/{{version}}/payload", SecretVersionPayloadResource(versioned, reader))
    app.add_route(f"{secret}/labels", SecretLabelsResource(versioned))
    app.add_route(f"{secret}/labels/{{label}}", SecretLabelResource(versioned))


def _add_stores(
    app: falcon.App[Any, Any],  # Any: as make_app
    settings: Settings,
    holdings: Holdings,
    projects: Projects,
) -> None:
    stores = (settings, holdings.secret_stores, projects)
    app.add_route("/v1/secret-stores", SecretStoresResource(*stores))
    app.add_route("/v1/secret-stores/global-default", GlobalDefaultResource(*stores))
    app.add_route("/v1/secret-stores/preferred", PreferredResource(*stores))
    app.add_route("/v1/secret-stores/{store_id}", SecretStoreResource(*stores))
    app.add_route("/v1/secret-stores/{store_id}/preferred", PreferenceResource(*stores))
    app.add_route("/v1/transport_keys", TransportKeysResource(settings, holdings.transport_keys))
    app.add_route("/v1/transport_keys/{key_id}", TransportKeyResource(holdings.transport_keys))


def _add_containers(
    app: falcon.App[Any, Any],  # Any: as make_app
    settings: Settings,
    holdings: Holdings,
    projects: Projects,
    doors: Doorkeeper,
) -> None:
    store = holdings.containers
    app.add_route("/v1/containers", ContainersResource(settings, store, projects))
    app.add_route("/v1/containers/{container_id}", ContainerResource(settings, store, doors))
    links = ContainerSecretsResource(settings, store, doors, projects)
    app.add_route("/v1/containers/{container_id}/secrets", links)
    app.add_route("/v1/containers/{container_id}/acl", ContainerAclResource(settings, doors, holdings.container_acls))
    consumers = (settings, doors, holdings.container_consumers, projects)
    app.add_route("/v1/containers/{container_id}/consumers", ContainerConsumersResource(*consumers, store))
    app.add_route("/v1/containers/{container_id}/consumers/{consumer_id}", ContainerConsumerResource(*consumers))
