"""A service of a few lines, run as a process by the tests beside it: `small_service.py api|worker`."""

import asyncio
import os
import sys
import threading
from pathlib import Path

from bascule.errors import BasculeError
from bascule.lifecycle import PinTooNew, ProcessEnvironment, in_hand, name_request, run_loop, serve_asgi, serve_wsgi
from bascule.lifecycle.environment import request_stop
from bascule.release import Release

NOTES = Path(os.environ["SMALL_NOTES"])
DEADLINE_S = float(os.environ.get("SMALL_DEADLINE_S", "20"))


def note(word):
    with NOTES.open("a") as notes:
        notes.write(f"{word}\n")


def app(environ, start_response):
    note(f"got {environ['PATH_INFO']}")
    if "HTTP_NAME_ME" in environ:
        name_request(environ["HTTP_NAME_ME"])
    if environ["PATH_INFO"] == "/outside":
        request_stop(PinTooNew("small", Release.parse("2"), Release.parse("1")))
    threading.Event().wait(float(environ["QUERY_STRING"] or 0))
    body = os.environ["BASCULE_INSTANCE"].encode()
    if environ["PATH_INFO"] == "/nothing":
        start_response("204 No Content", [])
        return []
    if environ["PATH_INFO"] in ("/pieces", "/breaks"):
        start_response("200 OK", [])
        return pieces(body, breaks=environ["PATH_INFO"] == "/breaks")
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


def pieces(body, *, breaks):
    yield b""
    yield body
    if breaks:
        raise RuntimeError
    threading.Event().wait(0.3)
    yield body


async def asgi_app(scope, receive, send):
    if scope["type"] == "lifespan":
        for word in ("startup", "shutdown"):
            await receive()
            note(f"lifespan {word}")
            await send({"type": f"lifespan.{word}.complete"})
        return
    note(f"got {scope['path']}")
    await asyncio.sleep(float(scope["query_string"] or 0))
    body = os.environ["BASCULE_INSTANCE"].encode()
    length = str(len(body)).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
    await send({"type": "http.response.body", "body": body})


def make_asgi_app():
    make_app()
    return asgi_app


def make_app():
    if "SMALL_REFUSES" in os.environ or Path(os.environ.get("SMALL_REFUSES_IF", "/none")).exists():
        raise BasculeError("this release is too old", next_command="small pin hold 1")
    note("building")
    threading.Event().wait(float(os.environ.get("SMALL_BUILD_S", "0")))
    return app


def step():
    if "SMALL_HANGS_ONCE" in os.environ and NOTES.read_text().count("start\n") == 1:
        threading.Event().wait(60)
    with in_hand("order", f"req-{threading.get_ident()}"):
        note("step begins")
        threading.Event().wait(float(os.environ.get("SMALL_STEP_S", "0.01")))
        note("step ends")
    return True


if __name__ == "__main__":
    hooks = {
        "on_start": lambda: note("start"),
        "on_drain": lambda: note("drain"),
        "on_stop": lambda: note("stop"),
        "deadline_s": DEADLINE_S,
    }
    if sys.argv[1] == "api":
        serve_wsgi(make_app, threads=int(os.environ.get("SMALL_THREADS", "16")), **hooks)
    elif sys.argv[1] == "asgi":
        serve_asgi(make_asgi_app, **hooks)
    else:
        hooks["threads"] = int(os.environ.get("SMALL_THREADS", "1"))
        sys.exit(run_loop(step, environment=ProcessEnvironment.read(), **hooks))
