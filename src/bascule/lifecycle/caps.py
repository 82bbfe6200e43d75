"""What one pin means: the API, the messages, the objects and the stored format that it caps, all from one manifest."""

from collections.abc import Iterable
from dataclasses import dataclass

from bascule.documents.manifest import Manifest
from bascule.errors import LifecycleError
from bascule.release import Release

__all__ = ["Caps", "ManifestMissing", "caps_at"]


class ManifestMissing(LifecycleError):
    """No manifest says what this pin means."""

    def __init__(self, pin: Release, known: Iterable[Release]) -> None:
        self.pin = pin
        names = ", ".join(str(each) for each in sorted(known)) or "no release"
        super().__init__(
            f"no manifest says what the pin {pin} means (there are those of {names}); "
            "keep the manifest of every release that this one supports"
        )


@dataclass(frozen=True, slots=True)
class Caps:
    """The newest of everything that may be sent, stored and advertised under one pin.

    `api` is the newest API version to advertise, `rpc` and `objects` give the version of each method and object,
    `changes` the schema changes whose new side is the one that counts.
    """

    release: Release
    api: str
    rpc: dict[str, str]
    objects: dict[str, str]
    changes: tuple[str, ...]


def caps_at(pin: Release, manifests: Iterable[Manifest]) -> Caps:
    """Return the caps of the newest release that is not newer than the pin. Raises ManifestMissing."""
    known = {manifest.release: manifest for manifest in manifests}
    allowed = [release for release in known if release <= pin]
    if not allowed:
        raise ManifestMissing(pin, known)
    manifest = known[max(allowed)]
    return Caps(
        release=manifest.release,
        api=manifest.api[1],
        rpc={name: method.version for name, method in sorted(manifest.rpc.items()) if method.since <= pin},
        objects={name: str(schema["version"]) for name, schema in sorted(manifest.objects.items())},
        changes=manifest.schema.get("contract", ()),
    )
