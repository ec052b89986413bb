"""What a node has changed in the process is put right before the next prompt."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

from tests.conftest import ROOT

# Each changes something that the next prompt needs, and says how it is then.
CHANGES = {
    "folder": ("os.chdir('/')", "os.getcwd()"),
    "folder that is gone": ("d = tempfile.mkdtemp(); os.chdir(d); os.rmdir(d)", "os.getcwd()"),
    "recursion limit": ("sys.setrecursionlimit(10**6)", "sys.getrecursionlimit()"),
    "tracing": ("sys.settrace(lambda *a: None)", "sys.gettrace()"),
    "profiling": ("sys.setprofile(lambda *a: None)", "sys.getprofile()"),
    "collector": ("gc.disable()", "gc.isenabled()"),
    "signal": ("signal.signal(signal.SIGTERM, print)", "signal.getsignal(signal.SIGTERM)"),
    "timer": (
        "signal.setitimer(signal.ITIMER_REAL, 100)",
        "signal.getitimer(signal.ITIMER_REAL)[0]",
    ),
    "file size": (
        "resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))",
        "resource.getrlimit(resource.RLIMIT_FSIZE)",
    ),
    "variables": ("os.environ.clear()", "os.environ['HOME']"),
    "json": ("json.dumps = None", "json.dumps([1])"),
    "an encoder": ("json.JSONEncoder.encode = None", "json.dumps([1])"),
    "a builtin": ("builtins.open = None", "open"),
    "a name that is gone": ("del os.path", "os.path.sep"),
    "number type": ("torch.set_default_dtype(torch.float64)", "torch.get_default_dtype()"),
    "device": ("torch.set_default_device('meta')", "torch.zeros(1).device"),
}
PROGRAM = """
import builtins, gc, json, os, resource, signal, sys, tempfile
import torch
from executor.worker.upkeep import Upkeep
upkeep = Upkeep()
before = {look}
{change}
assert upkeep.restore() is None
assert {look} == before, {look}
"""


def run(program: str) -> subprocess.CompletedProcess[str]:
    """In a process of its own, which it may spoil."""
    environ = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-c", program],
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_what_a_prompt_has_changed_is_put_right() -> None:
    forked = textwrap.dedent(
        """
        import os, sys
        import torch
        failed = []
        for name, program in PROGRAMS.items():
            child = os.fork()  # torch is imported once
            if child == 0:
                try:
                    exec(program, {})
                except BaseException as error:
                    print(name, repr(error), file=sys.__stdout__, flush=True)
                    os._exit(1)
                os._exit(0)
            if os.waitpid(child, 0)[1]:
                failed.append(name)
        assert not failed, failed
        """
    )
    programs = {
        name: PROGRAM.format(change=change, look=look) for name, (change, look) in CHANGES.items()
    }
    done = run(f"PROGRAMS = {programs!r}\n{forked}")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("stream", ["sys.stdout = None", "sys.stdout.close()"])
def test_there_is_something_to_print_to(stream: str) -> None:
    done = run(
        "import sys\nfrom executor.worker.upkeep import Upkeep\nupkeep = Upkeep()\n"
        f"{stream}\nassert upkeep.restore() is None\nprint('printed')"
    )
    assert done.returncode == 0, done.stderr


def test_a_process_without_files_to_open_is_unfit() -> None:
    done = run(
        "from executor.worker.upkeep import Upkeep\nupkeep = Upkeep()\nkept = []\n"
        "try:\n    while True: kept.append(open('/dev/null'))\nexcept OSError: pass\n"
        "import os\nwhy = upkeep.restore()\nkept.clear()\nprint(why)"
    )
    assert done.returncode == 0, done.stderr
    assert "open files" in done.stdout or "files open" in done.stdout
