"""Runs the ```console blocks of a page, as a reader would type them, and compares what they print.

`$ ` begins a command, all else is output. `...` stands for any text within a line, and alone on a line for any lines.
Python commands run in processes forked from one that has imported the heavy modules already. What they print is the
page's: `PYTHONPATH=tests python -m support.console PAGE` in a directory prints the page with the output as it is there.
"""

import multiprocessing
import os
import re
import runpy
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PRELOAD = ["alembic.config", "bascule.lifecycle", "bascule.schema.alembic", "bascule.schema.lint.revisions"]
DEADLINE_S = 60


def blocks(page):
    """Return [(command, expected lines), ...] of a page, in order."""
    found = []
    for block in BLOCK.findall(page):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
    return found


def agrees(expected, lines):
    """Say whether output is what the page says."""
    pattern = "".join(
        r"(?:.*\n)*?" if line == "..." else re.escape(line).replace(re.escape("..."), ".*?") + r"\n"
        for line in expected
    )
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in lines)) is not None


class Console:
    """One reader's terminal in a directory."""

    def __init__(self, directory):
        self.directory = str(directory)
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(PRELOAD)
        self.background = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.background:
            if process.is_alive():
                process.kill()
            process.join()

    def run(self, command):
        """Run a command; return the lines that it printed. With ` &` behind, return once it has printed a line."""
        command, behind = command.removesuffix("&").rstrip(), command.endswith("&")
        command = re.sub(r"\s+#.*", "", command)
        words = shlex.split(command)
        if words[0] == "kill":
            return self._kill()
        if words[0] not in {"python", "alembic"} or "|" in words:
            done = subprocess.run(
                ["bash", "-c", command], cwd=self.directory, capture_output=True, text=True, check=False, timeout=60
            )
            return (done.stdout + done.stderr).splitlines()
        module, arguments = (words[2], words[3:]) if words[0] == "python" else (words[0], words[1:])
        with tempfile.NamedTemporaryFile("r", encoding="utf-8") as told:
            process = self.context.Process(target=_run_module, args=(module, arguments, self.directory, told.name))
            process.start()
            if behind:
                self.background.append(process)
                self._wait(lambda: Path(told.name).read_text(encoding="utf-8").endswith("\n"))
            else:
                process.join(DEADLINE_S)
                assert process.exitcode is not None, f"{command} does not end"
            return Path(told.name).read_text(encoding="utf-8").splitlines()

    def _kill(self):
        for process in self.background:
            os.kill(process.pid, signal.SIGTERM)
            process.join(DEADLINE_S)
        return []

    @staticmethod
    def _wait(is_so):
        deadline = time.monotonic() + DEADLINE_S
        while not is_so():
            assert time.monotonic() < deadline
            time.sleep(0.02)


def _run_module(module, arguments, directory, told):
    os.chdir(directory)
    where = os.open(told, os.O_WRONLY | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(where, stream)
    # Not others in their place: what was imported before the fork may hold these, and nobody flushes them but us.
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", line_buffering=True)
    sys.path.insert(0, directory)
    name = module if "." in module else f"{module}.__main__"
    sys.argv = [module, *arguments]
    runpy.run_module(name, run_name="__main__", alter_sys=True)


def main():
    page = Path(sys.argv[1]).read_text(encoding="utf-8")
    with Console(Path.cwd()) as console:
        for command, _ in blocks(page):
            print(f"$ {command}")
            for line in console.run(command):
                print(line)


if __name__ == "__main__":
    main()
