"""What each op of a plan means, one file each, in one visible table."""

from bascule.documents.plan import Op
from bascule.fleet.effects.check import Check
from bascule.fleet.effects.effect import Context, Effect, Seen
from bascule.fleet.effects.pin import PinHold, PinLift
from bascule.fleet.effects.process import Join, Leave, Start, Stop
from bascule.fleet.effects.schema import Schema
from bascule.fleet.effects.settle import Settle
from bascule.fleet.effects.soak import Soak
from bascule.fleet.effects.stage import Stage
from bascule.fleet.effects.verify import Verify

__all__ = ["EFFECTS", "Context", "Effect", "Seen"]

EFFECTS: dict[Op, Effect] = {
    "check": Check(),
    "stage": Stage(),
    "schema": Schema(),
    "pin-hold": PinHold(),
    "pin-lift": PinLift(),
    "start": Start(),
    "join": Join(),
    "leave": Leave(),
    "stop": Stop(),
    "soak": Soak(),
    "settle": Settle(),
    "verify": Verify(),
}
