"""Payloads of every stored type, read with every Accept."""

from collections.abc import Iterator

from barbican_recording.asks import Ask, Scenario, get, post, text_secret

BYTES = "AAECA//+"
STORED = {
    "text": text_secret("text", "a text"),
    "bytes": {
        "name": "bytes",
        "payload": BYTES,
        "payload_content_type": "application/octet-stream",
        "payload_content_encoding": "base64",
    },
    "pkcs8": {
        "name": "pkcs8",
        "payload": "LS0tLS1CRUdJTg==",
        "payload_content_type": "application/pkcs8",
        "payload_content_encoding": "base64",
    },
    "letters": text_secret("letters", "päylöad ✓"),
}
ACCEPTS = {
    "text/plain": "as text",
    "text/plain;charset=utf-8": "as text with a charset",
    "text/plain; charset=utf-8": "as text with a charset and a space",
    "text/plain; charset=UTF-8": "as text with a charset in capitals",
    "TEXT/PLAIN": "as text in capitals",
    "application/octet-stream": "as bytes",
    "application/pkcs8": "as a private key",
    "*/*": "as anything",
    "": "with an empty Accept",
    "text/*": "as any text",
    "application/*": "as any application",
    "text/plain, */*": "as text or anything",
    "text/plain;q=0.9": "as text with a preference",
    "application/json": "as JSON",
    "image/png": "as an image",
    "application/aes": "as an old type",
    "nonsense": "as nonsense",
}


def asks() -> Iterator[Ask]:
    """Read each payload in each way, at /payload and in the way that is deprecated."""
    for stored, body in STORED.items():
        yield post(f"{stored} is stored", "/v1/secrets", body, names={stored: "secret_ref"})
    for stored in STORED:
        yield get(f"{stored} is read without an Accept", f"/v1/secrets/{{{stored}}}/payload")
        for accept, words in ACCEPTS.items():
            headers = {"Accept": accept}
            yield get(f"{stored} is read {words}", f"/v1/secrets/{{{stored}}}/payload", headers=headers)
            if stored in ("text", "bytes"):
                name = f"{stored} is asked of the secret itself {words}"
                yield get(name, f"/v1/secrets/{{{stored}}}", headers=headers)
    wrapped = "/v1/secrets/{text}/payload?trans_wrapped_session_key=abc"
    yield get("a wrapped session key without a transport key", wrapped)
    yield get("a wrapped session key with a transport key",
              f"{wrapped}&transport_key_id={{nowhere}}")  # fmt: skip


SCENARIOS = (Scenario("payloads", "Payloads of every stored type, read with every Accept.", asks),)
