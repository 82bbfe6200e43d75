"""The OpenAPI 3.1 document, put together from the operations and the schemas."""

import re
from typing import Any

from bascule_keymanager.api.bodies import ORDER
from bascule_keymanager.api.description.components import COMPONENTS, MEDIA_TYPES
from bascule_keymanager.api.description.operation import Operation
from bascule_keymanager.api.description.operations import OPERATIONS
from bascule_keymanager.api.schema import Schema
from bascule_keymanager.identity import RELEASE

__all__ = ["describe", "statuses_of"]

Json = dict[str, Any]  # Any: JSON

_MEANINGS = {
    200: "Done",
    201: "Made",
    202: "Accepted; a worker does it",
    204: "Done, and nothing to show",
    300: "One version to choose from",
    302: "Where the home document of the version is",
    400: "The request breaks a rule, or the version header does",
    401: "No valid token",
    403: "The policy says no, or a quota is reached",
    404: "There is none such",
    405: "Not with this method",
    406: "Not in this type, or not in this version of the API",
    409: "There is one already",
    412: "What the request expects is no longer so",
    413: "Too large",
    415: "Not in this type of body",
    503: "Not now",
}
_REFUSALS = (400, 401, 403, 404, 405, 406, 409, 412, 413, 415)
_NOT_OURS = ("oldRequired",)  # what our schemas say that JSON Schema does not


def describe() -> Json:
    """Return the description of the whole API."""
    paths: Json = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    for path, methods in paths.items():
        names = re.findall(r"{(\w+)}", path)
        if names:
            methods["parameters"] = [_parameter(name, "path") for name in names]
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Key manager",
            "version": str(RELEASE),
            "description": "Barbican's v1 API. Made by `make describe-api`; do not edit.",
        },
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": {name: dict(rules) for name, rules in COMPONENTS.items()} | _bodies(),
            "parameters": {"version": _version_parameter()},
            "responses": {_refusal_name(status): _refusal(status) for status in _MEANINGS if status in _REFUSALS},
            "securitySchemes": {"token": {"type": "apiKey", "in": "header", "name": "X-Auth-Token"}},
        },
    }


def statuses_of(operation: Operation) -> set[int]:
    """Return every status that this operation may answer with."""
    good = {status for status, _ in operation.answers}
    if not operation.guarded:
        return good | {400, 406} if operation.path == "/" else good
    found = {404} if "{" in operation.path else set()
    return good | found | {400, 401, 403, 406} | set(operation.refusals)


def _operation(operation: Operation) -> Json:
    described: Json = {
        "summary": operation.summary,
        "operationId": _name(operation),
        "responses": {str(status): _response(operation, status) for status in sorted(statuses_of(operation))},
    }
    if operation.deprecated:
        described["deprecated"] = True
    parameters: list[Json] = [_parameter(name, "query") for name in operation.query]
    if operation.guarded or operation.path == "/":
        parameters.append({"$ref": "#/components/parameters/version"})
    if parameters:
        described["parameters"] = parameters
    if not operation.guarded:
        described["security"] = []
    content = _request_content(operation)
    if content:
        described["requestBody"] = {"required": True, "content": content}
    return described


def _request_content(operation: Operation) -> Json:
    if operation.body is not None:
        return {"application/json": {"schema": _reference(_body_name(operation.body))}}
    return {media_type: {"schema": _reference("Payload")} for media_type in operation.raw}


def _response(operation: Operation, status: int) -> Json:
    response: Json = {"description": _MEANINGS[status]}
    answers = dict(operation.answers)
    if status in answers:
        shows = answers[status]
        if shows is not None:
            types = MEDIA_TYPES.get(shows, ("application/json",))
            response["content"] = {media_type: {"schema": _reference(shows)} for media_type in types}
        return response
    return {"$ref": f"#/components/responses/{_refusal_name(status)}"}


def _refusal_name(status: int) -> str:
    return f"Refused{status}"


def _refusal(status: int) -> Json:
    response: Json = {"description": _MEANINGS[status]}
    name = "Unauthorized" if status == 401 else "Problem"
    response["content"] = {"application/json": {"schema": _reference(name)}}
    if status in (400, 406):  # what is wrong with the version is told in HTML, or in text
        response["content"] |= {
            "text/html": {"schema": _reference("Text")},
            "text/plain": {"schema": _reference("Text")},
        }
    return response


def _bodies() -> Json:
    schemas = {operation.body for operation in OPERATIONS if operation.body is not None}
    bodies: Json = {
        _body_name(schema): _plain(schema.rules) for schema in sorted(schemas, key=lambda schema: schema.name)
    }
    bodies[_body_name(ORDER)]["properties"]["meta"] = _reference("OrderMeta")
    return bodies


def _plain(rules: Any) -> Any:  # Any: JSON
    if isinstance(rules, dict):
        return {name: _plain(rule) for name, rule in rules.items() if name not in _NOT_OURS}
    return [_plain(rule) for rule in rules] if isinstance(rules, list) else rules


def _body_name(schema: Schema) -> str:
    return schema.name.replace(" ", "") + "Body"


def _reference(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _parameter(name: str, place: str) -> Json:
    return {"name": name, "in": place, "schema": {"type": "string"}} | ({"required": True} if place == "path" else {})


def _version_parameter() -> Json:
    return {
        "name": "OpenStack-API-Version",
        "in": "header",
        "description": "`key-manager 1.0`, `1.1`, `1.2` or `latest`",
        "schema": {"type": "string"},
    }


def _name(operation: Operation) -> str:
    words = [operation.method.lower(), *re.findall(r"[a-z0-9]+", operation.path.replace("v1/", "").replace("-", ""))]
    return "_".join(words)
