"""Upgrade running, networked services without anyone noticing.

Importing this package is cheap and needs no extra: the parts are imported by name
(`bascule.objects`, `bascule.rpc`, `bascule.schema`, `bascule.lifecycle`, `bascule.checks`).
"""

__all__ = ["__version__"]
__version__ = "0.1.0"
