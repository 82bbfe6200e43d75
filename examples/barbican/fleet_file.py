"""The fleet file of the examples: Barbican behind HAProxy, with two API processes and a worker on this machine."""

import textwrap
from collections.abc import Mapping
from pathlib import Path

from bascule.testing.servers import HAProxy


def write_fleet_file(
    path: Path,
    *,
    name: str,
    variables: Mapping[str, Path],
    haproxy: HAProxy,
    ports: tuple[int, int],
    releases: Path | None = None,
    canary_s: float | None = None,
    listens: bool = False,
) -> None:
    """Write it; `releases` has those that the recipe does not bring, `ports` the first and the last of the API's.

    With `listens` a process listens to what Keystone tells.
    `canary_s` is how long the first new process is watched, where it is not to be bascule's own default.
    """
    own = f'releases = "{releases}"\n' if releases is not None else ""
    said = "".join(f'{variable} = "{value}"\n' for variable, value in variables.items())
    balancer = f"""\
        [balancer]
        kind = "haproxy"
        socket = "{haproxy.socket}"
        backend = "api"
        url = "{haproxy.url}"

        [[nodes]]
        name = "node-1"
        transport = "local"

        [roles.api]
        count = 2
        nodes = ["node-1"]
        ports = [{ports[0]}, {ports[1]}]

        [roles.worker]
        count = 1
        nodes = ["node-1"]
        """
    listener = '[roles.listener]\ncount = 1\nnodes = ["node-1"]\n' if listens else ""
    path.write_text(
        f'[fleet]\nname = "{name}"\nrecipe = "barbican"\n{own}state = "state"\n\n[variables]\n{said}\n'
        + textwrap.dedent(balancer)
        + listener
        + (f"\n[policy]\ncanary_s = {canary_s}\n" if canary_s is not None else "")
    )
