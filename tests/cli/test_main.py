"""The front door of the command line: what happens to a command outside of itself."""

import os
import re
import subprocess
import sys

import pytest

COMMAND = """
import sys, types
from anisotropy import __main__ as door
fake = types.ModuleType("anisotropy.fake")
def main(arguments):
{body}
fake.main = main
sys.modules["anisotropy.fake"] = fake
door.COMMANDS["fake"] = ("fake", "")
sys.argv = ["anisotropy", "fake"]
sys.exit(door.main())
"""


def run(body, *, encoding="utf-8", shell=""):
    """A command of these lines, as its own process; `shell` redirects what it writes."""
    code = COMMAND.format(body="\n".join("    " + line for line in body.splitlines()))
    command = ["bash", "-c", f'exec "$0" -c "$1" {shell}', sys.executable, code]
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)


def test_characters_that_the_terminal_lacks_are_spelt_out():
    done = run("print('50 ± 1 % of größe'); return 0", encoding="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "50 \\xb1 1 % of gr\\xf6\\xdfe\n"


@pytest.mark.parametrize("command", ["reproduce", "report"])
def test_a_name_of_300_characters_is_answered_in_a_line(command):
    asked = [sys.executable, "-m", "anisotropy", command, "--output", "x" * 300]
    done = subprocess.run(asked, capture_output=True, text=True, timeout=200)
    assert done.returncode == 2
    assert re.fullmatch(r"error: File name too long: .*x{300}.*\. Choose a shorter name", done.stderr.strip())


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")
def test_a_full_disk_behind_the_output_is_named():
    done = run("print(1); return 0", shell=">/dev/full")
    assert done.returncode != 0
    assert done.stderr.startswith("error: No space left on device: standard output. Free some space")


@pytest.mark.parametrize(
    ("body", "shell", "status", "said"),
    [
        ("print(1); raise KeyboardInterrupt", "", 130, "interrupted; "),
        ("print(1); return 3", ">&-", 3, ""),
        ("print(1); return 3", "2>&-", 3, ""),
        ("for i in range(100_000): print(i)\nreturn 0", "> >(head -1)", 141, ""),
        ("import time; time.sleep(1); print(1); return 0", "> >(true)", 141, ""),
    ],
)
def test_interrupts_and_closed_outputs_are_answered_without_a_traceback(body, shell, status, said):
    done = run(body, shell=shell)
    assert done.returncode == status
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith(said)
    assert said or not done.stderr
