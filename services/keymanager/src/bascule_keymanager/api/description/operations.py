"""Every operation of the API: where it is, what it takes, and with which statuses it answers."""

from bascule_keymanager.api.bodies import (
    ACL,
    CONTAINER,
    CONTAINER_CONSUMER,
    CONTAINER_SECRET,
    ORDER,
    PROJECT_QUOTAS,
    SECRET,
    SECRET_CONSUMER,
    SECRET_LABEL,
    SECRET_METADATA,
    SECRET_METADATUM,
    SECRET_ROTATION,
    SECRET_VERSION,
    TRANSPORT_KEY,
)
from bascule_keymanager.api.description.operation import Operation
from bascule_keymanager.api.description.own_operations import OWN_OPERATIONS
from bascule_keymanager.api.schema import Schema

__all__ = ["OPERATIONS"]


_PAGE = ("limit", "offset")
_FILTERS = ("name", "alg", "mode", "bits", "secret_type", "created", "updated", "expiration", "sort", "acl_only")
_JSON = (400, 415)  # what every operation with a JSON body may be refused with
_SECRET, _CONTAINER = "/v1/secrets/{secret_id}", "/v1/containers/{container_id}"


def _open(path: str, summary: str, *answers: tuple[int, str | None], query: tuple[str, ...] = ()) -> Operation:
    return Operation("GET", path, summary, answers, query=query, guarded=False)


def _get(
    path: str, summary: str, shows: str, *, query: tuple[str, ...] = (), refusals: tuple[int, ...] = ()
) -> Operation:
    return Operation("GET", path, summary, ((200, shows),), query=query, refusals=refusals)


def _send(method: str, path: str, summary: str, body: Schema, status: int, shows: str | None, *more: int) -> Operation:
    return Operation(method, path, summary, ((status, shows),), body=body, refusals=(*_JSON, *more))


def _delete(path: str, summary: str, *, status: int = 204, shows: str | None = None) -> Operation:
    return Operation("DELETE", path, summary, ((status, shows),))


def _acl(path: str, kind: str) -> tuple[Operation, ...]:
    return (
        _get(path, f"Show the ACL of a {kind}", "Acl"),
        _send("PUT", path, f"Replace the ACL of a {kind}", ACL, 200, "AclReference"),
        _send("PATCH", path, f"Change the ACL of a {kind}", ACL, 200, "AclReference"),
        _delete(path, f"Take the ACL of a {kind} away", status=200, shows="Nothing"),
    )


def _consumers(path: str, kind: str, body: Schema) -> tuple[Operation, ...]:
    shows = kind.capitalize()
    return (
        _get(path, f"List the consumers of a {kind}", "ConsumerPage", query=_PAGE),
        _send("POST", path, f"Register a consumer of a {kind}", body, 200, shows),
        _send("DELETE", path, f"Take a consumer of a {kind} away", body, 200, shows),
        _get(path + "/{consumer_id}", f"Show one consumer of a {kind}", "Consumer"),
    )


def _versions(path: str) -> tuple[Operation, ...]:
    """Return what Barbican has not: every one answers 409 while a process of an older release may answer, too."""
    version, label = path + "/versions/{version}", path + "/labels/{label}"
    rotation, changed = path + "/rotation", (409, 412)
    return (
        _get(path + "/versions", "List the versions of a secret", "SecretVersionPage", query=_PAGE, refusals=(409,)),
        _send(
            "POST",
            path + "/versions",
            "Add a version to a secret",
            SECRET_VERSION,
            201,
            "SecretVersionReference",
            413,
            *changed,
        ),
        _get(version, "Describe a version, by its number or a label", "SecretVersion", refusals=(409,)),
        _get(version + "/payload", "Read the payload of a version", "Payload", refusals=(409,)),
        Operation("DELETE", version + "/payload", "Destroy the payload of a version", ((204, None),), refusals=changed),
        _get(path + "/labels", "Show the labels of a secret's versions", "SecretLabels", refusals=(409,)),
        _send("PUT", label, "Put a label at a version", SECRET_LABEL, 200, "SecretLabel", *changed),
        Operation("DELETE", label, "Take a label away", ((204, None),), refusals=changed),
        _get(rotation, "Show how often a key is made anew", "SecretRotation", refusals=(409,)),
        _send("PUT", rotation, "Have a key made anew every so often", SECRET_ROTATION, 200, "SecretRotation", 409),
        Operation("POST", rotation, "Have a key made anew now", ((202, None),), refusals=(409,)),
        Operation("DELETE", rotation, "Leave a key as it is", ((204, None),), refusals=(409,)),
    )


OPERATIONS: tuple[Operation, ...] = (
    _open("/", "Show the versions of the API", (200, "Build"), (300, "Versions"), (302, None), query=("build",)),
    _open("/healthcheck", "Say whether the process should get requests", (200, "Text"), (503, "Text")),
    _open("/readiness", "Say whether the process can do its work", (200, "Readiness"), (503, "Readiness")),
    _get("/v1", "Describe the version of the API", "Version"),
    _send("POST", "/v1/secrets", "Keep a secret", SECRET, 201, "SecretReference", 413),
    _get(
        "/v1/secrets",
        "List secrets",
        "SecretPage",
        query=(*_PAGE, *_FILTERS),
        refusals=(400,),
    ),
    _get(_SECRET, "Describe a secret", "Secret", query=("transport_key_needed",), refusals=(400,)),
    Operation(
        "PUT",
        _SECRET,
        "Give a secret its payload, the second of two steps",
        ((204, None),),
        raw=("application/octet-stream", "text/plain"),
        query=("transport_key_id",),
        refusals=(400, 409, 413, 415),
    ),
    Operation("DELETE", _SECRET, "Delete a secret", ((204, None),), query=("force",), refusals=(400,)),
    _get(
        _SECRET + "/payload",
        "Read the payload of a secret",
        "Payload",
        query=("trans_wrapped_session_key", "transport_key_id"),
        refusals=(400,),
    ),
    _get(_SECRET + "/metadata", "Show the user metadata of a secret", "UserMetadata"),
    _send("PUT", _SECRET + "/metadata", "Replace the user metadata", SECRET_METADATA, 201, "MetadataReference"),
    _send("POST", _SECRET + "/metadata", "Add one key to the user metadata", SECRET_METADATUM, 201, "Metadatum", 409),
    _get(_SECRET + "/metadata/{key}", "Show one key of the user metadata", "Metadatum"),
    _send("PUT", _SECRET + "/metadata/{key}", "Change one key", SECRET_METADATUM, 200, "Metadatum", 409),
    _delete(_SECRET + "/metadata/{key}", "Take one key away"),
    *_acl(_SECRET + "/acl", "secret"),
    *_consumers(_SECRET + "/consumers", "secret", SECRET_CONSUMER),
    _send("POST", "/v1/containers", "Keep a container", CONTAINER, 201, "ContainerReference", 404),
    _get("/v1/containers", "List containers", "ContainerPage", query=(*_PAGE, "name", "type")),
    _get(_CONTAINER, "Show a container", "Container"),
    _delete(_CONTAINER, "Delete a container"),
    _send("POST", _CONTAINER + "/secrets", "Put a secret in", CONTAINER_SECRET, 201, "ContainerReference", 409),
    _send("DELETE", _CONTAINER + "/secrets", "Take a secret out", CONTAINER_SECRET, 204, None),
    *_acl(_CONTAINER + "/acl", "container"),
    *_consumers(_CONTAINER + "/consumers", "container", CONTAINER_CONSUMER),
    _send("POST", "/v1/orders", "Order a key or a pair of keys", ORDER, 202, "OrderReference", 413),
    _get("/v1/orders", "List orders", "OrderPage", query=(*_PAGE, "meta")),
    Operation("PUT", "/v1/orders", "Refuse: an order is never changed", (), refusals=(405,), deprecated=True),
    _get("/v1/orders/{order_id}", "Show an order", "Order"),
    _delete("/v1/orders/{order_id}", "Delete an order"),
    _get("/v1/quotas", "Show the quotas of the caller's project", "Quotas"),
    _get("/v1/project-quotas", "List the quotas of projects", "ProjectQuotasPage", query=_PAGE),
    _get("/v1/project_quotas", "Where the links of the list of quotas lead", "ProjectQuotasPage", query=_PAGE),
    _get("/v1/project-quotas/{project_id}", "Show the quotas of a project", "ProjectQuotas"),
    _send("PUT", "/v1/project-quotas/{project_id}", "Set quotas of a project", PROJECT_QUOTAS, 204, None),
    _delete("/v1/project-quotas/{project_id}", "Take the quotas of a project away"),
    _get("/v1/secret-stores", "List secret stores", "SecretStores", refusals=(404,)),
    _get("/v1/secret-stores/global-default", "Show the store of everybody", "SecretStore", refusals=(404,)),
    _get("/v1/secret-stores/preferred", "Show the store that the project prefers", "SecretStore", refusals=(404,)),
    _get("/v1/secret-stores/{store_id}", "Show a secret store", "SecretStore"),
    Operation("POST", "/v1/secret-stores/{store_id}/preferred", "Prefer a store", ((204, None),)),
    _delete("/v1/secret-stores/{store_id}/preferred", "Prefer no store"),
    _get("/v1/transport_keys", "List transport keys", "TransportKeyPage", query=(*_PAGE, "plugin_name")),
    _send("POST", "/v1/transport_keys", "Keep a transport key", TRANSPORT_KEY, 201, "TransportKeyReference"),
    _get("/v1/transport_keys/{key_id}", "Show a transport key", "TransportKey"),
    _delete("/v1/transport_keys/{key_id}", "Delete a transport key"),
    *OWN_OPERATIONS,
    *_versions("/v1/bascule/secrets/{secret_id}"),
)
