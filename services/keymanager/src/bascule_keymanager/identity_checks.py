"""What must be true of tokens and policies before the key manager is upgraded to this release."""

from oslo_config import cfg

from bascule.checks import Check, Code, failure, success, warning
from bascule_keymanager.config import Settings
from bascule_keymanager.policy.flips import find_flips, generation_is_chosen
from bascule_keymanager.policy.policies import PolicyRefused

__all__ = ["identity_checks"]

Answer = tuple[Code, str]


def identity_checks(settings: Settings) -> list[Check]:
    """Return the checks, which ask the configuration alone."""
    return [
        Check("tokens can be checked", lambda: _tokens(settings)),
        Check("policies mean what they meant", lambda: _policies(settings.options)),
    ]


def _tokens(settings: Settings) -> Answer:
    if settings.auth_strategy == "noauth":
        return success("auth_strategy = noauth: everybody is whoever their headers say, for development only")
    probe = cfg.ConfigOpts()
    names = ("auth_type", "auth_plugin", "auth_section")  # the second is the first's old name
    probe.register_opts([cfg.StrOpt(name) for name in names], group="keystone_authtoken")
    files = settings.options.default_config_files
    probe(args=[], project="keymanager", default_config_files=files, default_config_dirs=[])
    if not any(probe.keystone_authtoken[name] for name in names):
        return failure(
            "this release checks tokens, and [keystone_authtoken] auth_type does not say how; fill in that section as "
            "for Barbican, or, for development only, set [DEFAULT] auth_strategy = noauth"
        )
    return success()


def _policies(options: cfg.ConfigOpts) -> Answer:
    try:
        flips = find_flips(options)
    except PolicyRefused as refusal:
        return failure(refusal.sentence)
    if generation_is_chosen(options) or not flips:
        return success()
    losers = sorted({role for flip in flips for role in flip.loses})
    gainers = sorted({role for flip in flips for role in flip.gains})
    first = flips[0]
    return warning(
        f"{len(flips)} policies answer otherwise by the new defaults, which hold unless something else is said (up to "
        f"release 22 Barbican enforced the old): {', '.join(losers)} can do less, {', '.join(gainers)} more; for "
        f"example {first.rule}. Say in [oslo_policy] enforce_new_defaults which of them hold"
    )
