"""A service of a hundred lines, for tests of the orchestrator: threads that answer HTTP, and a schema in a file.

service.py serve | work            a process, until SIGTERM
service.py schema PHASE            expand, migrate, contract, rollback
service.py status | check | pin-hold RELEASE | pin-release | pin-lower RELEASE
"""

import fcntl
import json
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path

STATE = Path(os.environ["STUB_STATE"])
RELEASE = os.environ.get("STUB_RELEASE", os.environ.get("BASCULE_RELEASE", ""))
AFTER = {"expand": "expanded", "migrate": "synced", "contract": "contracted"}


def become_ready():
    if os.environ.get("STUB_BREAK") == "dies" and RELEASE == "2.0":
        print("cannot find my settings", file=sys.stderr)
        sys.exit(7)
    if os.environ.get("STUB_BREAK") == "hangs" and RELEASE == "2.0":
        print("waiting for something", file=sys.stderr, flush=True)
        time.sleep(60)
    path = Path(os.environ["BASCULE_READY_FILE"])
    draft = path.with_suffix(".draft")
    draft.write_text(f"{os.getpid()}\n")
    draft.rename(path)


def serve():
    from answers import Server  # a third of the time that a command takes, which the tests run hundreds of

    if "BASCULE_LISTEN_FD" in os.environ:
        listener = socket.socket(fileno=int(os.environ["BASCULE_LISTEN_FD"]))
    else:
        host, port = os.environ["BASCULE_LISTEN"].split(":")
        listener = socket.create_server((host, int(port)))
    server = Server(listener, RELEASE)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    become_ready()
    server.serve_forever(poll_interval=0.02)
    server.server_close()


def work():
    done = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: done.set())
    become_ready()
    done.wait()


def edit(change):
    """Change the state file under a lock; every change is one replacement."""
    STATE.mkdir(exist_ok=True)
    with (STATE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        path = STATE / "state.json"
        state = json.loads(path.read_text()) if path.exists() else {"phase": "planned", "hold": None, "effects": []}
        change(state)
        draft = path.with_suffix(".draft")
        draft.write_text(json.dumps(state))
        draft.rename(path)
        return state


def schema(phase):
    wanted = "planned" if phase == "rollback" else AFTER[phase]
    time.sleep(float(os.environ.get("STUB_SLOW_S", "0")))

    def change(state):
        if state["phase"] != wanted:
            state["effects"].append(phase)
        state["phase"] = wanted

    edit(change)
    print(f"{phase} done", file=sys.stderr)


def hold(release):
    edit(lambda state: state.update(hold=release))


def lower(release):
    """Rewrite what that release does not read, which nothing may write any more."""
    if os.environ.get("STUB_BREAK") == "lower":
        print("one row resists", file=sys.stderr)
        sys.exit(1)
    state = edit(lambda state: state.setdefault("lowered", []).append(release))
    assert state["hold"] == release, state


def status():
    state = edit(lambda state: None)
    with (STATE / "looks").open("a") as looks:
        looks.write(".")
    pin = state["hold"] or RELEASE
    change = {"id": "widen", "release": "2.0", "table": "things", "phase": state["phase"], "rows_total": 3}
    print(json.dumps({"service": "stub", "pin": pin, "pin_hold": state["hold"], "changes": [change]}))


def main(verb, *rest):
    if verb in ("serve", "work"):
        {"serve": serve, "work": work}[verb]()
    elif verb == "schema":
        schema(rest[0])
    elif verb == "status":
        status()
    elif verb == "check":
        if os.environ.get("STUB_BREAK") == "check":
            print("the configuration lacks a key", file=sys.stderr)
            sys.exit(2)
        if os.environ.get("STUB_BREAK") in ("warns", "refuses"):
            result = 1 if os.environ["STUB_BREAK"] == "warns" else 2
            checks = [("quick", 0, None), ("tidy", 1, "3 rows are untidy"), ("whole", result, "a part is loose")]
            checks = [{"check": name, "result": code, "details": text} for name, code, text in checks]
            print(json.dumps({"checks": checks, "code": result}))
            sys.exit(result)
    elif verb == "pin-hold":
        hold(rest[0])
    elif verb == "pin-release":
        hold(None)
    elif verb == "pin-lower":
        lower(rest[0])


if __name__ == "__main__":
    main(*sys.argv[1:])
