"""Paths that lead nowhere, methods that are not served, and requests without an identity."""

from collections.abc import Iterator

from support.barbican_corpus import BAD_TOKEN, NO_TOKEN

from barbican_recording.asks import Ask, Scenario, get, post, secret, version

PATHS = (
    "/v1/nothing",
    "/v1/nothing/at/all",
    "/v1/cas",
    "/v1/certificates",
    "/v1/consumers",
    "/v1/secret",
    "/v1/secrets//",
    "/v2",
    "/v2/secrets",
    "/nothing",
    "/secrets",
    "/v1//secrets",
    "/V1/secrets",
)
PROTECTED = ("/v1", "/v1/secrets", "/v1/containers", "/v1/orders", "/v1/quotas", "/v1/secret-stores", "/v1/nothing")


def asks() -> Iterator[Ask]:
    """Ask for what is not there, and without saying who."""
    yield secret("known")
    for path in PATHS:
        yield get(f"nothing is at {path}", path)
        yield post(f"nothing is posted to {path}", path, {})
    for path in PROTECTED:
        yield get(f"{path} needs a token", path, NO_TOKEN)
        yield get(f"{path} needs a good token", path, BAD_TOKEN)
    yield get("a secret needs a token", "/v1/secrets/{known}", NO_TOKEN)
    yield get("a secret needs a token at 1.1 too", "/v1/secrets/{known}", NO_TOKEN, headers=version("1.1"))
    yield post("a secret is not made without a token", "/v1/secrets", {"name": "x"}, NO_TOKEN)
    yield get("nothing at the root needs no token", "/nothing", NO_TOKEN)
    for method in ("OPTIONS", "TRACE", "PURGE"):
        yield Ask(name=f"the secrets take no {method}", method=method, path="/v1/secrets")
    proxied = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "keys.example"}
    yield post("references follow a proxy, or not", "/v1/secrets", {"name": "proxied"}, headers=proxied,
               names={"proxied": "secret_ref"})  # fmt: skip
    identity = {"X-Project-Id": "forged", "X-Roles": "admin", "X-Identity-Status": "Confirmed", "X-User-Id": "forged"}
    yield get("who a client says it is does not count", "/v1/quotas", headers=identity)
    yield get("who a client says it is does not count without a token", "/v1/secrets", NO_TOKEN, headers=identity)


SCENARIOS = (Scenario("errors", "Paths that lead nowhere, and requests without an identity.", asks),)
