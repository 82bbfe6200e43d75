"""Every error that bascule raises on purpose.

    BasculeError                  something a person can act on; `next_command` says how
    +-- DocumentError             a JSON or TOML document is not what its reader expects
    +-- ReleaseError              a release name or a pin makes no sense here
    +-- ObjectError               a versioned object cannot be read, written or converted
    +-- RpcError                  a message cannot be sent or handled as asked
    +-- SchemaError               a schema phase cannot run, or refuses to
    +-- LifecycleError            a process must not start, or could not stop without loss
    +-- FleetError                a fleet cannot be read, planned for or changed
    |   +-- PlanRefused           a plan must not be made or applied
    |   +-- StepFailed            a step's effect did not come about
    +-- GateError                 a run cannot be measured or judged

Concrete classes stand beside the noun they are about. A bug is an AssertionError, never a BasculeError.
"""

__all__ = [
    "BasculeError",
    "DocumentError",
    "FleetError",
    "GateError",
    "LifecycleError",
    "ObjectError",
    "PlanRefused",
    "ReleaseError",
    "RpcError",
    "SchemaError",
    "StepFailed",
]


class BasculeError(Exception):
    """A refusal or failure that a person can act on: one clear sentence, and the next command to type."""

    exit_code = 1
    """What a command line ends with: 1 refused or failed, 3 stopped and resumable."""

    def __init__(self, sentence: str, *, next_command: str | None = None) -> None:
        self.sentence = sentence
        self.next_command = next_command
        super().__init__(sentence)


class DocumentError(BasculeError):
    """A document is unreadable, of an unknown format, or has a key that nobody knows."""


class ReleaseError(BasculeError):
    """A release name or a pin makes no sense here."""


class ObjectError(BasculeError):
    """A versioned object cannot be read, written or converted."""


class RpcError(BasculeError):
    """A message cannot be sent or handled as asked."""


class SchemaError(BasculeError):
    """A schema phase cannot run, or refuses to."""


class LifecycleError(BasculeError):
    """A process must not start, or could not stop without loss."""


class FleetError(BasculeError):
    """A fleet cannot be read, planned for or changed."""


class PlanRefused(FleetError):
    """A plan must not be made or applied; nothing was changed."""


class StepFailed(FleetError):
    """A step's effect did not come about; the journal keeps it as failed and `apply` may be run again."""


class GateError(BasculeError):
    """A run cannot be measured or judged."""
