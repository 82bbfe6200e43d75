"""Record what real Barbican with real Keystone answers, as the corpus that our key manager is compared with.

Installs both in environments of their own, runs them on the loopback with SQLite, asks every scenario of
tools/barbican_recording/scenario of a new Barbican each, and writes tests/data/barbican-23/<area>.json.
docs/howto/record-and-replay-barbican.md says how to add to it.
"""

import argparse
import secrets
import sys
import tempfile
from pathlib import Path

from barbican_recording.people import make_people, service_user
from barbican_recording.recorder import ScenarioRefused, record, write
from barbican_recording.scenario import SCENARIOS
from barbican_recording.servers import BARBICAN, KEYSTONE, barbican, install, keystone

CORPUS = Path(__file__).parent.parent / "tests" / "data" / "barbican-23"


def main() -> None:
    """Record all areas, or those that are named."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("areas", nargs="*", help="record only these areas")
    arguments.add_argument("--environments", type=Path, help="keep the two environments here, and use them again")
    chosen = arguments.parse_args()
    unknown = set(chosen.areas) - {scenario.area for scenario in SCENARIOS}
    if unknown:
        arguments.error(f"no such area: {', '.join(sorted(unknown))}")
    refused: list[ScenarioRefused] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environments = chosen.environments or folder
        identity_programs = install(environments, "keystone", KEYSTONE)
        programs = install(environments, "barbican", BARBICAN)
        password = secrets.token_urlsafe(12)
        with keystone(identity_programs, folder / "identity", password) as identity_url:
            authtoken, people = service_user(identity_url, password), make_people(identity_url, password)
            for scenario in SCENARIOS:
                if chosen.areas and scenario.area not in chosen.areas:
                    continue
                place = folder / "areas" / scenario.area
                with barbican(programs, place, authtoken, scenario.options) as url:
                    try:
                        document = record(scenario, url, identity_url, people)
                    except ScenarioRefused as problem:
                        refused.append(problem)
                        continue
                write(CORPUS, document)
                print(f"{scenario.area}: {len(document['pairs'])} pairs", flush=True)
    if refused:
        sys.exit("\n".join(map(str, refused)))


if __name__ == "__main__":
    main()
