"""Lines of the record that are no trainings are measured again, and one that was altered is found."""

import numpy as np
import pytest
from anisotropy._util import provenance
from anisotropy.cli import audit as command
from anisotropy.experiments import audit, gallery, measured
from anisotropy.results import record

SMALL = {"size": 32, "axis": (0, 2, 4, 16)}


@pytest.fixture(autouse=True)
def bfloat16(monkeypatch):
    """A processor without bfloat16 rounds alike, slowly: small networks are measured there too."""
    monkeypatch.setattr(provenance, "has_bfloat16", lambda: True)


@pytest.fixture(scope="module")
def row():
    return gallery.line("lenet", networks=3, **SMALL) | {"made.clean": True}


def both(row, again=measured.gallery_again):
    return [audit.compute(audit.Draw(row, part, again=again)) for part in (audit.WHOLE, audit.EARLY)]


def test_a_line_of_the_gallery_is_measured_again_whole_and_by_its_first_network(row):
    whole, first = both(row)
    assert (whole.verdict, first.verdict) == (audit.AGREES, audit.AGREES)
    assert "3 of 3 networks, equal to rounding" in whole.text
    assert "1 of 3 networks" in first.text


@pytest.mark.parametrize("network", [0, 2])
def test_one_energy_altered_by_a_hundredth_is_found(row, network):
    changed = [
        [v * 1.01 if (n, i) == (network, 4) else v for i, v in enumerate(e)] for n, e in enumerate(row["energies"])
    ]
    verdicts = [finding.verdict for finding in both(row | {"energies": changed})]
    assert verdicts == [audit.DIFFERS, audit.DIFFERS if network == 0 else audit.AGREES]


def test_what_cannot_be_measured_here_is_said(row):
    mixer = row | {"architecture.name": "timm:no_such_network"}
    assert {finding.verdict for finding in both(mixer)} == {audit.IMPOSSIBLE}


def test_a_draw_reaches_lines_that_are_no_trainings_and_keeps_to_its_time(row):
    long = row | {"seconds": 3000.0}
    draws = audit.drawn([row, long], 100.0, generator=np.random.default_rng(0))
    assert [(draw.row["seconds"] == 3000.0, draw.part) for draw in draws] == [(False, audit.WHOLE)]
    draws = audit.drawn([row, long], 6000.0, generator=np.random.default_rng(0))
    assert {draw.part for draw in draws} == {audit.WHOLE, audit.EARLY}
    assert {draw.again for draw in draws} == {measured.gallery_again}


def test_the_command_audits_the_gallery_by_name(row, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(record, "folder", lambda: tmp_path)
    record.add("gallery", [row])
    # In this process: another one would ask the processor itself about bfloat16.
    monkeypatch.setattr(audit.engines, "run", lambda engine, compute, draws: enumerate(map(compute, draws)))
    assert command.main(["--row", row["key"], "--workers", "1"]) == 0
    assert "of 1 results computed whole, 1 agree" in capsys.readouterr().out
    path = tmp_path / "gallery.jsonl"
    first = row["energies"][0][0]
    path.write_text(path.read_text().replace(f"[[{first},", f"[[{first * 1.01},"))
    assert command.main(["--only", "gallery, lenet", "--minutes", "1", "--workers", "1"]) == 1
    assert "differs" in capsys.readouterr().out
