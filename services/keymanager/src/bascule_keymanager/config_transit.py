"""The part of the configuration file that says how much may be encrypted at once."""

from dataclasses import dataclass

from oslo_config import cfg

__all__ = ["TransitSettings", "load_transit"]

_TRANSIT = (
    cfg.IntOpt("max_plaintext_bytes", default=65_536, min=1, help="Longest text or key that is encrypted."),
    cfg.IntOpt("max_items", default=128, min=1, help="Most items of one request."),
    cfg.IntOpt("max_request_bytes", default=1_048_576, min=1, help="Longest body of a request with items."),
)


@dataclass(frozen=True, slots=True)
class TransitSettings:
    """The options of [transit]."""

    max_plaintext_bytes: int = 65_536
    max_items: int = 128
    max_request_bytes: int = 1_048_576


def load_transit(path: str) -> TransitSettings:
    """Return the options of [transit]."""
    conf = cfg.ConfigOpts()
    conf.register_opts(_TRANSIT, group="transit")
    conf(args=[], project="keymanager", default_config_files=[path], default_config_dirs=[])
    return TransitSettings(**{option.dest: conf.transit[option.dest] for option in _TRANSIT})
