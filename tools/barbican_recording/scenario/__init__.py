"""Every scenario, one module per part of the API; a new Barbican is started for each."""

from barbican_recording.asks import Scenario
from barbican_recording.scenario import (
    acls,
    containers,
    errors,
    metadata,
    orders,
    payloads,
    quotas,
    roles,
    secret_consumers,
    secret_lists,
    secrets,
    stores,
    versions,
)

__all__ = ["SCENARIOS"]

SCENARIOS: tuple[Scenario, ...] = (
    *versions.SCENARIOS,
    *secrets.SCENARIOS,
    *payloads.SCENARIOS,
    *secret_lists.SCENARIOS,
    *metadata.SCENARIOS,
    *acls.SCENARIOS,
    *secret_consumers.SCENARIOS,
    *containers.SCENARIOS,
    *orders.SCENARIOS,
    *quotas.SCENARIOS,
    *stores.SCENARIOS,
    *errors.SCENARIOS,
    *roles.SCENARIOS,
)
