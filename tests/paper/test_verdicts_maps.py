"""Maps of Fig. 1 from rows of the record: whole, or missing."""

import pytest
from anisotropy.directions import bases
from anisotropy.paper import verdicts_maps as maps
from anisotropy.paper.evidence import Missing
from anisotropy.paper.sources import Sources


def rows(leave_out=0, **changes):
    basis = bases.fourier(32, 32)
    found = []
    for k in basis.subgrid(2)[leave_out:]:
        (ky, kx), phase = map(int, basis.frequencies[k]), str(basis.phases[k])
        place = {"direction.kind": "fourier", "direction.ky": ky, "direction.kx": kx, "direction.phase": phase}
        outcome = {"test_accuracy": 0.5 if (ky, kx) == (4, 8) else 0.9, "seconds": 60.0, "made.commit": "0"}
        found.append({"architecture.name": "lenet", **maps.SETTING, **place, **outcome, **changes})
    return found


def sources_of(found):
    sources = Sources()
    sources.rows = lambda experiment: found
    return sources


def test_a_whole_map_has_its_worst_frequency_and_its_range():
    sources = sources_of(rows())
    assert (maps.worst(sources, "lenet").value, maps.span(sources, "lenet").value) == (50, pytest.approx(40))
    measured = maps.worst(sources, "lenet")
    assert measured.full
    assert "all 130 distinct frequencies" in measured.size


@pytest.mark.parametrize(
    "found", [rows(leave_out=1), rows(sigma=1.0), rows(seed=1), rows(**{"architecture.width": 0.5})]
)
def test_a_map_with_a_hole_or_of_another_setting_is_missing(found):
    with pytest.raises(Missing, match="of 130 frequencies of the map of lenet"):
        maps.worst(sources_of(found), "lenet")
