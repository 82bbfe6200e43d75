"""Version discovery, and the header that asks for a version."""

from collections.abc import Iterator

from support.barbican_corpus import BAD_TOKEN, NO_TOKEN

from barbican_recording.asks import Ask, Scenario, delete, get, post, put, secret, version

VERSIONS = {
    "1.0": "at 1.0",
    "1.1": "at 1.1",
    "1.2": "at 1.2",
    "latest": "at the latest version",
    "1.3": "at a minor version that does not exist",
    "2.0": "at a major version that does not exist",
    "0.9": "at a version before the first",
    "one": "at a version that is a word",
    "1": "at a version without a minor part",
}


def asks() -> Iterator[Ask]:
    """Ask for the versions in every way."""
    yield get("anybody sees the versions", "/", NO_TOKEN)
    yield get("a token changes nothing about the versions", "/")
    yield get("a bad token changes nothing about the versions", "/", BAD_TOKEN)
    yield get("the build is told", "/?build", NO_TOKEN)
    yield get("a home document leads to version 1", "/", NO_TOKEN, headers={"Accept": "application/json-home"})
    yield get("the versions are JSON for who wants HTML", "/", NO_TOKEN, headers={"Accept": "text/html"})
    yield get("version 1 needs a token", "/v1", NO_TOKEN)
    yield get("version 1 with a bad token", "/v1", BAD_TOKEN)
    yield get("version 1 is described", "/v1")
    yield get("version 1 with a slash is described", "/v1/")
    for number, words in VERSIONS.items():
        yield get(f"the versions {words}", "/", NO_TOKEN, headers=version(number))
        yield get(f"version 1 {words}", "/v1", headers=version(number))
    other = {"OpenStack-API-Version": "compute 2.1"}
    yield get("a version of another service is not for us", "/v1", headers=other)
    both = {"OpenStack-API-Version": "compute 2.1, key-manager 1.1"}
    yield get("a version among those of other services is found", "/v1", headers=both)
    yield get("a version header of one word", "/v1", headers={"OpenStack-API-Version": "1.1"})
    yield get("an empty version header", "/v1", headers={"OpenStack-API-Version": ""})
    yield get("a version in capitals", "/v1", headers={"OpenStack-API-Version": "KEY-MANAGER 1.1"})
    yield get("a bad version and no token", "/v1/secrets", NO_TOKEN, headers=version("9.9"))
    yield get("a bad version and a path that does not exist", "/v1/nothing", headers=version("9.9"))
    yield secret("plain")
    for number in ("1.0", "1.1", "1.2", "latest"):
        yield get(f"a secret at {number}", "/v1/secrets/{plain}", headers=version(number))
        yield get(f"a list at {number}", "/v1/secrets", headers=version(number))
        yield get(f"a payload at {number}", "/v1/secrets/{plain}/payload", headers=version(number))
    yield get("a missing secret at 1.1", "/v1/secrets/{nowhere}", headers=version("1.1"))
    yield get("the health check needs nobody", "/healthcheck", NO_TOKEN)
    yield get("the health check knows no versions", "/healthcheck", NO_TOKEN, headers=version("1.1"))
    yield post("the versions take no POST", "/", {})
    yield post("version 1 takes no POST", "/v1", {})
    yield put("version 1 takes no PUT", "/v1", {})
    yield delete("version 1 takes no DELETE", "/v1")


SCENARIOS = (Scenario("versions", "Version discovery, and the header that asks for a version.", asks),)
