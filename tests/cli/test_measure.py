"""NADs from the command line, and what a long estimate says that it will cost."""

import io
import re

import anisotropy as an
import pytest
import torch
from anisotropy.cli import measure
from anisotropy.nads import running

SOURCE = """
from torch import nn

def net(image_size):
    return nn.Sequential(nn.Flatten(), nn.Linear(image_size[0] * image_size[1], 8), nn.Tanh(), nn.Linear(8, 1))
"""


def test_a_network_of_a_file_is_measured_and_written(tmp_path, monkeypatch, capsys):
    (tmp_path / "own_measured.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    out = tmp_path / "mine.safetensors"
    asked = ["own_measured:net", "--size", "6", "--networks", "4", "--response", "gradient", "--seed", "3"]
    assert measure.main([*asked, "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert re.search(r"^the leading 5: overlap with the truth between 0\.\d\d and 0\.\d\d$", said, re.MULTILINE)
    found = an.load(out)
    same = an.estimate(an.factory("own_measured:net", image_size=6), response=an.Gradient(), networks=4, seed=3)
    assert torch.equal(found.eigenvalues, same.eigenvalues)


@pytest.mark.parametrize(("asked", "said"), [("letnet", "lenet"), ("no_such_file:net", "no_such_file")])
def test_a_name_that_is_none_is_answered_in_a_line(asked, said, tmp_path, capsys):
    assert measure.main([asked, "--out", str(tmp_path / "x")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert said in error


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("response", "said"),
    [
        (an.Secant(), r"[\d.]+ (s|min) a network, 3 take [\d.]+ (s|min); Gradient\(\): [\d.e-]+ (s|min)\n"),
        (an.Mixed(), r"[\d.]+ (s|min) a network, 3 take [\d.]+ (s|min)\n"),
    ],
)
def test_a_long_estimate_says_what_it_costs_on_a_terminal(response, said, monkeypatch):
    make = an.factory("lenet", image_size=16)
    before = an.estimate(make, response=response, networks=3)
    shown = {}
    for name, long, stream in (("long", 0.0, Terminal()), ("short", 1e6, Terminal()), ("file", 0.0, io.StringIO())):
        monkeypatch.setattr(running, "LONG", long)
        monkeypatch.setattr("sys.stderr", stream)
        found = an.estimate(make, response=response, networks=3)
        assert torch.equal(found.eigenvalues, before.eigenvalues)  # it changes no number
        shown[name] = stream.getvalue()
    assert re.search(said, shown["long"])
    assert "a network" not in shown["short"] + shown["file"]


def test_durations_as_people_say_them():
    said = {0.31: "0.31 s", 12.4: "12 s", 600: "10 min", 9000: "2.5 h"}
    assert {seconds: running._duration(seconds) for seconds in said} == said
