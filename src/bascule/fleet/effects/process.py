"""start, join, leave and stop: one process of a role."""

import contextlib
import os
import socket
import time
import urllib.error
import urllib.request

from bascule.documents.plan import Step
from bascule.errors import FleetError
from bascule.fleet.drivers.shared_socket import SharedSocket
from bascule.fleet.effects.effect import Context, Seen
from bascule.fleet.recipe import Recipe, RoleRecipe
from bascule.fleet.runtime import EndedEarly, InstanceName, NotReady, StartSpec
from bascule.fleet.transport import CommandFailed
from bascule.release import Release

__all__ = ["Join", "Leave", "Start", "Stop"]

_POLL_S = 0.05
_LEAVE_BEFORE_UNDO_S = 60.0


class Start:
    """Starts a process of the target release beside the old one and waits until it is ready."""

    def do(self, context: Context, step: Step) -> None:
        """Start it, unless an earlier try did. Raises EndedEarly, NotReady."""
        start(context, step)

    def probe(self, context: Context, step: Step) -> Seen:
        """Look that it lives and is ready."""
        return Seen.PASSED if _is_ready(context, step) else Seen.FAILED

    def undo(self, context: Context, step: Step) -> None:
        """Take its traffic, if it has any, and stop it."""
        leave(context, step, timeout_s=_LEAVE_BEFORE_UNDO_S)
        stop(context, step)

    def probe_undone(self, context: Context, step: Step) -> Seen:
        """Look that it is gone."""
        return Seen.FAILED if _is_alive(context, step) else Seen.PASSED


class Stop:
    """Stops a process of the source release; going back starts it again and gives it traffic."""

    def do(self, context: Context, step: Step) -> None:
        """Signal it and wait until the last of its children has ended."""
        stop(context, step)

    def probe(self, context: Context, step: Step) -> Seen:
        """Look that it is gone."""
        return Seen.FAILED if _is_alive(context, step) else Seen.PASSED

    def undo(self, context: Context, step: Step) -> None:
        """Start it again and wait until it is ready; `leave`, which is undone next, gives it traffic."""
        start(context, step)

    def probe_undone(self, context: Context, step: Step) -> Seen:
        """Look that it lives and is ready."""
        return Seen.PASSED if _is_ready(context, step) else Seen.FAILED


class Join:
    """Gives a started process traffic."""

    def do(self, context: Context, step: Step) -> None:
        """Join it at the balancer."""
        context.fleet.balancer.join(step.target, _address(context, step))

    def probe(self, context: Context, step: Step) -> Seen:
        """Ask the balancer."""
        joined = context.fleet.balancer.is_joined(step.target, _address(context, step))
        return Seen.PASSED if joined else Seen.FAILED

    def undo(self, context: Context, step: Step) -> None:
        """Take its traffic."""
        leave(context, step, timeout_s=step.timeout_s)

    def probe_undone(self, context: Context, step: Step) -> Seen:
        """Ask the balancer."""
        address = _known_address(context, step)
        gone = address is None or not context.fleet.balancer.is_joined(step.target, address)
        return Seen.PASSED if gone else Seen.FAILED


class Leave:
    """Takes a process's traffic and waits until it has none in flight."""

    def do(self, context: Context, step: Step) -> None:
        """Drain it at the balancer."""
        leave(context, step, timeout_s=step.timeout_s)

    def probe(self, context: Context, step: Step) -> Seen:
        """Ask the balancer."""
        address = _known_address(context, step)
        gone = address is None or not context.fleet.balancer.is_joined(step.target, address)
        return Seen.PASSED if gone else Seen.FAILED

    def undo(self, context: Context, step: Step) -> None:
        """Give it traffic again."""
        context.fleet.balancer.join(step.target, _address(context, step))

    def probe_undone(self, context: Context, step: Step) -> Seen:
        """Ask the balancer."""
        joined = context.fleet.balancer.is_joined(step.target, _address(context, step))
        return Seen.PASSED if joined else Seen.FAILED


def start(context: Context, step: Step) -> None:
    """Start the step's process, unless it runs, and wait until it is ready."""
    name, role, recipe = _name(step), _role(context, step), context.fleet.recipe(_release(step))
    runtime = context.node(step).runtime
    with contextlib.ExitStack() as closing:
        listen_fd, address = None, None
        if role.listens and isinstance(context.fleet.balancer, SharedSocket):
            context.fleet.balancer.prepare()
            listen_fd = context.fleet.balancer.descriptor()
            closing.callback(os.close, listen_fd)
        elif role.listens:
            address = runtime.address(name) if _is_alive(context, step) else _free_address(context, step)
        runtime.start(_spec(context, step, recipe, role, listen_fd, address), timeout_s=step.timeout_s)
    deadline = time.monotonic() + role.ready_timeout_s
    while not _is_ready(context, step):
        if not _is_alive(context, step):
            raise EndedEarly(name, runtime.directory(name) / "log", runtime.last_words(name))
        if time.monotonic() > deadline:
            raise NotReady(name, role.ready_timeout_s, runtime.directory(name) / "log", runtime.last_words(name))
        time.sleep(_POLL_S)


def stop(context: Context, step: Step) -> None:
    """Stop the step's process and say so when it had to be killed."""
    role = _role(context, step)
    ended = context.node(step).runtime.stop(_name(step), signal_name=role.stop_signal, timeout_s=role.stop_timeout_s)
    if ended.killed:
        context.say(f"warning: {_name(step)} did not stop within {role.stop_timeout_s:.0f} s and was killed")


def leave(context: Context, step: Step, *, timeout_s: float) -> None:
    """Take the process's traffic, if it ever had an address."""
    address = _known_address(context, step)
    if address is not None and not context.fleet.balancer.drains_by_itself:
        context.fleet.balancer.leave(step.target, address, timeout_s=timeout_s)


def _spec(
    context: Context, step: Step, recipe: Recipe, role: RoleRecipe, listen_fd: int | None, address: str | None
) -> StartSpec:
    name, node = _name(step), context.node(step)
    host, _, port = (address or "").rpartition(":")
    variables = context.fleet.variables(
        node,
        name.release,
        instance=name.name,
        role=str(step.args["role"]),
        listen=address or "",
        listen_host=host,
        listen_port=port,
    )
    env = {
        "BASCULE_INSTANCE": name.name,
        "BASCULE_RELEASE": str(name.release),
        "BASCULE_READY_FILE": str(node.runtime.directory(name) / "ready"),
        **({"BASCULE_LISTEN_FD": str(listen_fd)} if listen_fd is not None else {}),
        **({"BASCULE_LISTEN": address} if address else {}),
        **context.fleet.environment(recipe, variables),
    }
    argv = tuple(recipe.expand(role.command, variables))
    return StartSpec(name, str(step.args["role"]), argv, env, listen_fd, address)


def _is_ready(context: Context, step: Step) -> bool:
    if not _is_alive(context, step):
        return False
    name, ready, runtime = _name(step), _role(context, step).ready, context.node(step).runtime
    if ready.file:
        return runtime.is_ready_file_written(name)
    if ready.after_s is not None:
        return runtime.age_s(name) >= ready.after_s
    if ready.command:
        return _says_ready(context, step, ready.command)
    if ready.http is not None:
        return _answers(f"http://{runtime.address(name)}{ready.http}", ready.status)
    raise AssertionError(f"the recipe's role {step.args['role']} says nothing of readiness")


def _says_ready(context: Context, step: Step, words: tuple[str, ...]) -> bool:
    node, release = context.node(step), _release(step)
    recipe = context.fleet.recipe(release)
    variables = context.fleet.variables(node, release, instance=step.target, role=str(step.args["role"]))
    env = context.fleet.environment(recipe, variables)
    try:
        done = node.transport.run(recipe.expand(words, variables), env=env, timeout_s=30.0)
    except CommandFailed:
        return False
    return done.returncode == 0


def _answers(url: str, status: tuple[int, ...]) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310  # an address of our own making
            code = answer.status
    except urllib.error.HTTPError as other:
        code = other.code
    except OSError:
        return False
    return bool(min(status) <= code <= max(status))


def _is_alive(context: Context, step: Step) -> bool:
    return _name(step) in context.node(step).runtime.alive()


def _name(step: Step) -> InstanceName:
    return InstanceName(str(step.args["instance"]), _release(step))


def _release(step: Step) -> Release:
    return Release.parse(str(step.args["release"]))


def _role(context: Context, step: Step) -> RoleRecipe:
    return context.fleet.recipe(_release(step)).file.roles[str(step.args["role"])]


def _known_address(context: Context, step: Step) -> str | None:
    return context.node(step).runtime.address(_name(step))


def _address(context: Context, step: Step) -> str:
    address = _known_address(context, step)
    if address is None:
        raise FleetError(
            f"{_name(step)} has no address of its own; give its role ports = [first, last] in fleet.toml",
            next_command=f"edit {context.fleet.config.path}",
        )
    return address


def _free_address(context: Context, step: Step) -> str:
    """Choose a free port of the role's range; the runtime records it before the process exists."""
    ports = context.fleet.config.file.roles[str(step.args["role"])].ports
    if not ports:
        raise FleetError(
            f"role {step.args['role']} needs ports = [first, last], since its balancer needs addresses",
            next_command=f"edit {context.fleet.config.path}",
        )
    taken = {node.runtime.address(name) for node in context.fleet.nodes.values() for name in node.runtime.alive()}
    for port in range(ports[0], ports[1] + 1):
        address = f"127.0.0.1:{port}"
        if address in taken:
            continue
        with socket.socket() as attempt:
            attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                attempt.bind(("127.0.0.1", port))
            except OSError:
                continue
            return address
    raise FleetError(
        f"every port from {ports[0]} to {ports[1]} is taken", next_command=f"edit {context.fleet.config.path}"
    )
