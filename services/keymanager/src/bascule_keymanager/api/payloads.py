"""Payloads of secrets: how one is read, and how it comes in as the second of two steps."""

import base64

import falcon

from bascule_keymanager.api.access import authorize
from bascule_keymanager.api.body import media_type
from bascule_keymanager.api.context import caller_of
from bascule_keymanager.api.errors import ApiRefusal, IssueSeen, operation
from bascule_keymanager.api.owners import check_id, target_of
from bascule_keymanager.config import Settings
from bascule_keymanager.content import SPELLINGS, SUPPORTED, normalise
from bascule_keymanager.storage.rows import Gone
from bascule_keymanager.storage.secrets import SealedPayload, SecretStore

__all__ = ["PayloadReader", "PayloadResource", "read_payload"]

_UPDATABLE = ("application/octet-stream", "text/plain")


class PayloadReader:
    """Answers with the payload of a secret."""

    def __init__(self, store: SecretStore) -> None:
        self._store = store

    def send(self, req: falcon.Request, resp: falcon.Response, secret_id: str) -> None:
        """Answer with the payload as the type that the client accepts. Raises ApiRefusal, Gone."""
        sealed = self._store.sealed_payload(secret_id, caller_of(req).user)
        if sealed is None:
            raise Gone("secrets")
        authorize(req, "secret:decrypt", target_of(req, sealed.owner))
        if not sealed.has_payload:
            raise ApiRefusal(404, "Not Found. Sorry but your secret has no payload.")
        if req.query_string:
            _refuse_wrapping(req)
        self.show(req, resp, sealed)

    def show(self, req: falcon.Request, resp: falcon.Response, sealed: SealedPayload) -> None:
        """Answer with a payload that is there and that the caller may read. Raises ApiRefusal."""
        accept = req.get_header("Accept") or "application/octet-stream"
        resp.data = self._readable(sealed, accept)
        resp.content_type = "text/plain; charset=UTF-8" if accept == "text/plain" else accept

    def _readable(self, sealed: SealedPayload, accept: str) -> bytes:
        # Barbican compares the header as one text: lists and ranges of types are not understood.
        if accept != "*/*":
            if normalise(accept) not in SUPPORTED:
                raise IssueSeen(406, "Wrong payload content-type")
            if accept not in SPELLINGS:
                raise IssueSeen(400, f"content-type of '{accept}' not supported")
        payload = self._store.open(sealed)
        if (sealed.content_type if accept == "*/*" else normalise(accept)) == "text/plain":
            try:
                payload.decode()
            except UnicodeDecodeError:
                raise IssueSeen(406, "Wrong payload content-type") from None
        return payload


class PayloadResource:
    """The payload of one secret."""

    def __init__(self, reader: PayloadReader) -> None:
        self._reader = reader

    @operation("Secret payload retrieval")
    def on_get(self, req: falcon.Request, resp: falcon.Response, secret_id: str) -> None:
        """Return the payload."""
        check_id("secret", secret_id)
        self._reader.send(req, resp, secret_id)


def _refuse_wrapping(req: falcon.Request) -> None:
    # Only Dogtag's store ever wrapped a payload in a key of the client's own.
    if not req.get_param("trans_wrapped_session_key"):
        return
    if not req.get_param("transport_key_id"):
        text = (
            "Transport key wrapped session key has been provided to wrap secrets for retrieval, "
            "but the transport key id has not been provided."
        )
        raise ApiRefusal(400, text)
    raise ApiRefusal(400, "No secret store of this key manager wraps payloads; ask without trans_wrapped_session_key.")


def read_payload(req: falcon.Request, settings: Settings) -> tuple[bytes, str]:
    """Return the payload that a second step brings, decoded, and its type. Raises ApiRefusal."""
    content_type = media_type(req)
    if content_type not in _UPDATABLE:
        raise ApiRefusal(415, f"Unexpected content type. Expected content types are: {list(_UPDATABLE)}")
    limit = settings.max_secret_bytes
    payload: bytes = req.bounded_stream.read(limit + 1)
    if not payload:
        raise IssueSeen(400, "No data supplied to process.")
    if len(payload) > limit:
        raise IssueSeen(413, "Provided information too large to process")
    encoding = req.get_header("Content-Encoding")
    if not encoding or content_type == "text/plain":
        return payload, content_type
    if encoding.lower() != "base64":
        raise IssueSeen(400, "Text-based binary secret payloads must specify a content-encoding of 'base64'")
    try:
        return base64.b64decode(payload), content_type
    except ValueError:
        raise IssueSeen(400, "The payload is not base64") from None
