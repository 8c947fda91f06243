"""Areas under the ROC curve and their intervals, against counting, and what is written of them."""

import json

import numpy as np
import pytest
from anisotropy._util import paths
from anisotropy.cli import audit as audit_command
from anisotropy.experiments import audit
from anisotropy.paper import discrimination, plotting
from anisotropy.paper.discrimination import PREDICTORS, Predictor, told
from anisotropy.results import record


def by_counting(learnt, values):
    wins = [(a > b) + 0.5 * (a == b) for a in values[learnt] for b in values[~learnt]]
    return sum(wins) / len(wins)


def test_the_area_is_the_share_of_pairs_in_order():
    random = np.random.default_rng(0)
    learnt = random.random(60) < 0.4
    values = np.round(learnt + random.normal(size=60), 1)  # with ties
    found = told(learnt, values, np.arange(60))
    assert found.area == pytest.approx(by_counting(learnt, values))
    assert told(learnt, -values, np.arange(60)).area == pytest.approx(1 - found.area)
    assert found.low < found.area < found.high
    assert told(learnt, learnt, np.arange(60)).right == 1
    assert told(learnt, ~learnt, np.arange(60)).right < 0.3


def test_an_orbit_is_drawn_as_a_whole():
    """Two orbits, drawn twice with replacement: both kinds are there in half of the draws, and the area is always 1."""
    assert told([True, True, False], [2, 2, 1], [0, 0, 1]).low == 1
    found = told([True, False, True, False], [4, 1, 2, 3], [0, 0, 1, 1], draws=4000)
    few = {1.0, 0.75, 0.0}  # the first orbit twice, each once, the second twice
    assert {found.low, found.area, found.high} == few


def test_intervals_cover_and_copies_are_no_evidence():
    """Of intervals over orbits 95 in 100 hold the true area; over cells, four alike in each orbit, fewer."""
    random = np.random.default_rng(1)
    true = 0.8555778  # P(N(1.5, 1) > N(0, 1)) = Phi(1.5 / sqrt(2))
    held = {"orbits": 0, "cells": 0}
    for _ in range(300):
        learnt, values = np.repeat(np.arange(40) % 2 == 0, 4), np.repeat(random.normal(size=40), 4)
        values = values + 1.5 * learnt
        for name, labels in (("orbits", np.repeat(np.arange(40), 4)), ("cells", np.arange(160))):
            found = told(learnt, values, labels, draws=200)
            held[name] += found.low <= true <= found.high
    assert 270 <= held["orbits"] <= 296
    assert held["cells"] < 240


@pytest.mark.parametrize("learnt", [[True] * 4, [False] * 4, [True, False]])
def test_what_has_no_area_is_refused(learnt):
    with pytest.raises(ValueError, match="learnt and not"):
        told(learnt, [1, 2, 3, 4], [0, 1, 2, 3])


def test_cells_are_those_that_were_trained(folder):
    there = discrimination.cells(folder)
    assert there.frequencies.shape == (144, 2)
    assert there.basis.shape == (130, 1, 32, 32)
    assert len(np.unique(there.orbits)) == 45
    one, other = (there.frequencies.tolist().index(k) for k in ([4, 0], [-4, 0]))
    assert there.rows[one] == there.rows[other]
    ky, kx = there.frequencies[7]
    c = np.arange(32)
    wave = np.cos(2 * np.pi * (ky * c[:, None] + kx * c[None]) / 32)
    assert np.allclose(there.basis[there.rows[7], 0].numpy(), wave / np.linalg.norm(wave))
    same = np.sort(np.abs(there.frequencies), axis=1)
    for orbit in range(45):
        assert len(np.unique(same[there.orbits == orbit], axis=0)) == 1


def test_lines_of_the_record(folder, monkeypatch, tmp_path):
    there = discrimination.cells(folder)
    monkeypatch.setitem(discrimination.COUNTS, "lenet", (1, 2))
    (low,) = discrimination.lines("lenet", Predictor("frequency"), there, 0)
    assert (low["area"], low["right"], low["networks"]) == (1, 1, 0)
    (kept,) = discrimination.lines("lenet", Predictor("nads"), there, 0)
    assert kept["networks"] == 400
    one, two = discrimination.lines("lenet", Predictor("dipole", 1.0, "zero"), there, 0)
    assert one["least"] <= one["area"] <= one["most"]
    assert two["least"] == two["area"] == two["most"] > 0.6
    assert two["seconds"] == pytest.approx(2 * one["seconds"], abs=2e-4)
    monkeypatch.setattr(paths, "root", lambda: tmp_path)
    new = [row | {"made.clean": True} for row in (low, kept, one, two)]
    assert record.add("discrimination", new) == 4
    assert record.add("discrimination", new) == 0
    found = record.read(tmp_path / "results/discrimination.jsonl")
    assert not found.problems
    assert found.rows[two["key"]]["predictor.step"] == 1.0
    wrong = json.dumps(two | {"area": 1.2})
    (tmp_path / "results/discrimination.jsonl").write_text(wrong + "\n")
    assert "area between 0 and 1" in record.read(tmp_path / "results/discrimination.jsonl").problems[0]


def test_a_line_of_what_foretells_fig_1_is_measured_again_and_found_when_altered(folder, monkeypatch):
    monkeypatch.setitem(discrimination.COUNTS, "lenet", (1, 2))
    there = discrimination.cells(folder)
    again = audit_command.measured(str(folder), "")["discrimination"]
    for predictor in (discrimination.Predictor("nads"), discrimination.Predictor("dipole", 1.0, "zero")):
        for line in discrimination.lines("lenet", predictor, there, 0):
            assert audit.compute(audit.Draw(line, audit.WHOLE, again=again)).verdict == audit.AGREES
            altered = line | {"area": line["area"] - 0.001}
            assert audit.compute(audit.Draw(altered, audit.WHOLE, again=again)).verdict == audit.DIFFERS
    nothing = audit_command.measured("", "")["discrimination"]
    assert "--published" in audit.compute(audit.Draw(line, audit.WHOLE, again=nothing)).text
    other = line | {"published": "0" * 64}
    assert "another table" in audit.compute(audit.Draw(other, audit.WHOLE, again=again)).text


def test_every_predictor_can_be_measured():
    assert len({(p.name, p.step, p.at, p.sigma) for p in PREDICTORS}) == len(PREDICTORS)
    for predictor in PREDICTORS:
        if predictor.at:
            assert type(predictor.response()).__name__.lower() == predictor.name


COLUMNS = [
    Predictor("frequency"),
    Predictor("nads"),
    Predictor("dipole", 1.0, "zero"),
    Predictor("dipole", 100.0, "normal", 3.0),
    Predictor("gradient", None, "normal", 1.0),
]


def test_the_docs_say_what_the_record_holds():
    """The table of docs/record.md, and what the README says under its figure."""
    path = paths.root() / "results/discrimination.jsonl"
    rows = list(record.read(path).rows.values())
    assert not record.read(path).problems
    assert len({row["published"] for row in rows}) == 1

    def line(network, predictor, count=None):
        same = [r for r in rows if r["network"] == network and record.fields_of(r)["predictor"] == vars(predictor)]
        return next((r for r in same if r["networks"] == (count or max(r["networks"] for r in same))), None)

    text, right = (paths.root() / "docs/record.md").read_text(encoding="utf-8"), []
    for network in discrimination.COUNTS:
        cells = [plotting.LABELS[network]]
        for predictor in COLUMNS:
            found = line(network, predictor)
            cells.append(f"{found['area']:.3f} ({found['low']:.3f} to {found['high']:.3f})" if found else "–")
        assert f"| {' | '.join(cells)} |" in text
        right.append(f"{100 * line(network, COLUMNS[2])['right']:.0f}")
    readme = (paths.root() / "README.md").read_text(encoding="utf-8")
    assert f"Foretold are {', '.join(right[:3])} and {right[3]} %" in readme
    single = line("resnet18", COLUMNS[2], 1)
    assert (single["area"], single["least"], single["right"]) == (1, 1, 1)
    assert round(single["seconds"]) == 2
    assert "two seconds on one core" in readme
