"""Lists of secrets: filters, order, pages."""

from collections.abc import Iterator

from barbican_recording.asks import Ask, Scenario, get, post, put, text_secret, version

SECRETS = (
    text_secret("alpha", algorithm="aes", bit_length=128, mode="cbc", secret_type="symmetric"),
    text_secret("beta", algorithm="aes", bit_length=256, mode="gcm", secret_type="symmetric"),
    text_secret("gamma", algorithm="rsa", bit_length=2048, secret_type="private"),
    {"name": "delta"},
    text_secret("al_ha", expiration="2990-01-01T00:00:00"),
    text_secret("al%ha", expiration="2995-01-01T00:00:00"),
    text_secret("with space", mode="cbc"),
    text_secret("Alpha", algorithm="AES"),
)
FILTERS = {
    "by name": "name=alpha",
    "by a name in capitals": "name=ALPHA",
    "by a name that nobody has": "name=omega",
    "by an empty name": "name=",
    "by a name with a wildcard": "name=al%25",
    "by a name with a wildcard for one": "name=al_ha",
    "by a name that is quoted twice": "name=with%2520space",
    "by a name with a plus": "name=with+space",
    "by two names": "name=alpha&name=beta",
    "by algorithm": "alg=aes",
    "by algorithm and mode": "alg=aes&mode=gcm",
    "by mode": "mode=cbc",
    "by bits": "bits=256",
    "by bits that are none": "bits=many",
    "by bits of zero": "bits=0",
    "by negative bits": "bits=-1",
    "by bits with spaces": "bits=+256+",
    "by type": "secret_type=symmetric",
    "by a type that nobody knows": "secret_type=nothing",
    "by an empty type": "secret_type=",
    "by what nobody knows": "colour=green",
    "made after a time": "created=gt:2001-01-01T00:00:00",
    "made before a time": "created=lt:2001-01-01T00:00:00",
    "made between two times": "created=gte:2001-01-01T00:00:00,lt:2999-01-01T00:00:00",
    "made at a time": "created=2001-01-01T00:00:00",
    "made after two times": "created=gt:2001-01-01T00:00:00,gte:2002-01-01T00:00:00",
    "made before two times": "created=lt:2001-01-01T00:00:00,lte:2002-01-01T00:00:00",
    "made at a time and after one": "created=2001-01-01T00:00:00,gt:2000-01-01T00:00:00",
    "made at a time and from one on": "created=2001-01-01T00:00:00,gte:2000-01-01T00:00:00",
    "made at no time": "created=yesterday",
    "made after no time": "created=gt:yesterday",
    "made by a comparison that nobody knows": "created=ne:2001-01-01T00:00:00",
    "made at an empty time": "created=",
    "updated after a time": "updated=gt:2001-01-01T00:00:00",
    "updated at no time": "updated=gt:never",
    "expiring before a time": "expiration=lt:2993-01-01T00:00:00",
    "expiring after a time": "expiration=gte:2993-01-01T00:00:00",
    "expiring at a time": "expiration=2990-01-01T00:00:00",
    "expiring between two times": "expiration=gt:2980-01-01T00:00:00,lte:2990-01-01T00:00:00",
    "expiring at a time with a zone": "expiration=2990-01-01T02:00:00%2B02:00",
    "expiring at a day": "expiration=2990-01-01",
    "expiring at no time": "expiration=gt:",
}
SORTS = {
    "by name": "name",
    "by name upwards": "name:asc",
    "by name downwards": "name:desc",
    "by two keys": "algorithm:desc,name:asc",
    "by the time of creation": "created",
    "by the time of creation downwards": "created:desc",
    "by expiration": "expiration,name",
    "by mode": "mode,name",
    "by bits": "bit_length,name",
    "by type": "secret_type,name",
    "by status": "status,name",
    "by the time of change": "updated:desc",
    "by a key that nobody knows": "colour",
    "by a direction that nobody knows": "name:sideways",
    "by the same key twice": "name,name:desc",
    "by nothing": "",
    "by a comma": "name,",
    "by a key with a space": "name,%20mode",
    "by a direction in capitals": "name:DESC",
}
PAGES = {
    "of two": "limit=2",
    "of two from the third on": "limit=2&offset=2",
    "at the end": "limit=2&offset=6",
    "after the end": "limit=2&offset=8",
    "that is longer than the list": "limit=50",
    "that is longer than allowed": "limit=1000",
    "of none": "limit=0",
    "of less than none": "limit=-5",
    "of a word": "limit=two",
    "of a fraction": "limit=2.5",
    "of an empty number": "limit=",
    "from a word on": "limit=2&offset=two",
    "from before the first on": "limit=2&offset=-1",
    "from the second on by one": "limit=1&offset=1",
    "from the third on by a longer step": "limit=5&offset=3",
    "of two limits": "limit=2&limit=3",
    "with a filter": "limit=1&alg=aes",
    "with a name that is quoted": "limit=1&name=al%25",
}


def asks() -> Iterator[Ask]:
    """Make a few secrets and list them in every way."""
    yield get("the list of an empty project", "/v1/secrets")
    yield get("an empty list with a page", "/v1/secrets?limit=2&offset=4")
    for number, body in enumerate(SECRETS):
        yield post(f"secret {number} is made", "/v1/secrets", body, names={f"secret {number}": "secret_ref"})
    yield get("all secrets are listed", "/v1/secrets", unordered="secrets")
    yield get("all secrets are listed at 1.1", "/v1/secrets", headers=version("1.1"), unordered="secrets")
    yield get("the list with a slash", "/v1/secrets/?sort=name")
    yield get("another project's list is empty", "/v1/secrets", "other member")
    for words, query in FILTERS.items():
        yield get(f"secrets {words}", f"/v1/secrets?{query}", unordered="secrets")
    for words, key in SORTS.items():
        yield get(f"secrets sorted {words}", f"/v1/secrets?sort={key}", unordered=None if key else "secrets")
    for words, query in PAGES.items():
        yield get(f"a page {words}", f"/v1/secrets?sort=name&{query}")
    yield put("a secret gets an ACL", "/v1/secrets/{secret 0}/acl", {"read": {"users": ["{user of other member}"]}})
    yield get("who is in an ACL lists it", "/v1/secrets?acl_only=true", "other member")
    yield get("who is in an ACL lists it with a filter", "/v1/secrets?acl_only=true&name=beta", "other member")
    yield get("acl_only in capitals", "/v1/secrets?acl_only=TRUE", "other member")
    yield get("acl_only that is false", "/v1/secrets?acl_only=false", "other member")
    yield get("acl_only that is a word", "/v1/secrets?acl_only=perhaps", "other member")
    yield get("who is in no ACL lists nothing", "/v1/secrets?acl_only=true", "second member")
    yield get("a private list of one's own is not by ACL", "/v1/secrets?acl_only=true")
    yield get("a reader lists no secrets", "/v1/secrets", "reader")
    for number in range(3):
        body = text_secret(f"more {number}")
        yield post(f"one more secret, {number}, is made", "/v1/secrets", body, names={f"more {number}": "secret_ref"})
    yield get("a list is ten long when no limit is given", "/v1/secrets?sort=name")
    yield get("the second page of ten", "/v1/secrets?sort=name&offset=10")


SCENARIOS = (Scenario("secrets-listed", "Lists of secrets: filters, order, pages.", asks),)
