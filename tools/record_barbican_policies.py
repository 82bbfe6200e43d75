"""Print what Barbican's own policies answer in every situation of tests/support/policy_world.py, as JSON.

Run it with PYTHONPATH=tests and the interpreter of an environment that has Barbican, and keep what it prints as
tests/data/barbican-23.policies.json. Needs nothing of ours.
"""

import importlib.metadata
import json

from barbican.common import policies
from oslo_config import cfg
from oslo_policy import opts, policy
from support.policy_world import PROJECT, USER, situations, written


def answers(generation: bool) -> dict[str, str]:
    """Return the bits of every rule under one generation of defaults."""
    options = cfg.ConfigOpts()
    options(args=[], project="barbican", default_config_files=[], default_config_dirs=[])
    opts._register(options)  # noqa: SLF001 - before the override
    options.set_override("enforce_new_defaults", generation, "oslo_policy")
    enforcer = policy.Enforcer(options)
    enforcer.suppress_default_change_warnings = True
    enforcer.register_defaults(policies.list_rules())
    enforcer.load_rules()

    def ask(rule: str) -> str:
        asked = (
            enforcer.authorize(
                rule,
                {"enforce_new_defaults": generation, **facts},
                {"project_id": PROJECT, "user_id": USER, "roles": list(roles)},
            )
            for roles, facts in situations()
        )
        return written(asked)

    return {rule: ask(rule) for rule in sorted(enforcer.registered_rules)}


if __name__ == "__main__":
    recorded = {
        "barbican": importlib.metadata.version("barbican"),
        "new": answers(generation=True),
        "old": answers(generation=False),
    }
    print(json.dumps(recorded, indent=1))
