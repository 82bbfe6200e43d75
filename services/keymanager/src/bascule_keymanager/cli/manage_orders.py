"""keymanager-manage await-orders: wait for the orders that workers have in hand."""

import time

import click

from bascule.errors import BasculeError
from bascule_keymanager.cli.refusal import refusals
from bascule_keymanager.config import load_settings
from bascule_keymanager.service import Parts
from bascule_keymanager.storage.orders import OrderStore

__all__ = ["OrdersWait", "await_orders", "wait_for_orders"]

_LOOK_AGAIN_S = 0.25
_CLOCKS_DIFFER_S = 1.0
_MANY = 1_000


class OrdersWait(BasculeError):
    """Orders that were placed long ago are still not done."""

    def __init__(self, waiting: int, oldest: str, waited_s: float) -> None:
        self.waiting, self.oldest = waiting, oldest
        super().__init__(
            f"{waiting} orders placed more than {waited_s:.0f} s ago still wait, the oldest is {oldest}; "
            "a worker of ours does what others have forgotten after [worker] sweep_age_s, and after two minutes beside "
            "Barbican's",
            next_command="keymanager-manage list-orders --pending",
        )


@click.command("await-orders")
@click.option("--timeout-s", default=240.0, show_default=True, help="Give up after so long.")
@click.pass_obj
def await_orders(config_file: str | None, timeout_s: float) -> None:
    """Wait until no order waits that was placed before now: then no worker has one of them in hand."""
    with refusals():
        wait_for_orders(Parts(load_settings(config_file)).orders, timeout_s=timeout_s)
    click.echo("every order that was placed before is done")


def wait_for_orders(orders: OrderStore, *, timeout_s: float) -> None:
    """Return once every order that is there now is done, or has failed. Raises OrdersWait."""
    began = time.monotonic() + _CLOCKS_DIFFER_S  # what was placed by a clock that is a little ahead is waited for, too
    deadline = time.monotonic() + timeout_s
    while True:
        waited_s = time.monotonic() - began
        waiting = orders.pending(older_than_s=waited_s, most=_MANY)
        if not waiting and waited_s >= 0:
            return
        if time.monotonic() > deadline:
            raise OrdersWait(len(waiting), waiting[0].id if waiting else "none", timeout_s)
        time.sleep(_LOOK_AGAIN_S)
