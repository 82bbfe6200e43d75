"""The command line of a service's schema. See `schema_cli`."""

from bascule.schema.cli.group import schema_cli

__all__ = ["schema_cli"]
