"""Where the scenario finds the service, and as whom it may ask."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from keystoneauth1 import session
from keystoneauth1.identity import v3

DOMAIN = "default"


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody that Keystone knows."""

    user: str
    username: str
    password: str
    project: str
    project_name: str

    def __repr__(self) -> str:
        return f"Person({self.username!r})"


@dataclass(frozen=True, slots=True)
class Place:
    """One deployment: its Keystone, the region of its key manager, its address, and people."""

    auth_url: str
    region: str
    url: str
    people: Mapping[str, Person]

    @classmethod
    def load(cls, path: Path) -> "Place":
        """Read a place as the runner wrote it."""
        document = json.loads(path.read_text())
        people = {name: Person(**fields) for name, fields in document.pop("people").items()}
        return cls(**document, people=people)

    def known(self) -> dict[str, str]:
        """Return the texts that differ between two places, and the names that stand for them."""
        names = {self.url: "{base}", self.auth_url: "{identity}", self.region: "{region}"}
        for name, person in self.people.items():
            names[person.user] = f"{{user of {name}}}"
            names[person.project] = f"{{{person.project_name}}}"
        return names

    def session(self, name: str) -> session.Session:
        """Return a session of this person, who logs in with a password."""
        person = self.people[name]
        return session.Session(
            auth=v3.Password(
                auth_url=self.auth_url,
                username=person.username,
                password=person.password,
                user_domain_id=DOMAIN,
                project_name=person.project_name,
                project_domain_id=DOMAIN,
            )
        )
