"""The benchmarks run from end to end, and their page and plots are what the files of results give."""

import json
import subprocess
import sys

import pytest
from anisotropy._util import paths

FOLDER = paths.root() / "benchmarks"
RESULTS = FOLDER / "results"
RUN = [sys.executable, str(FOLDER / "run.py"), "--tiny"]


@pytest.fixture
def page(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    import page

    return page


def drawn(folder, plots):
    """Plots of a folder whose file of results is there, and whether each shows it."""
    for name, (source, _) in plots.PLOTS.items():
        if (folder / source).is_file():
            mark = plots.fingerprint(folder / source).encode()
            for kind in ("png", "svg"):
                yield f"{name}.{kind}", mark in (folder / f"{name}.{kind}").read_bytes()


def test_all_of_it_at_tiny_size(tmp_path, page):
    done = subprocess.run([*RUN, "--output", str(tmp_path)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    names = ("nads", "total", "sweeps-cpu", "scaling-cpu", "colours", "draws", "kernels")
    contents = [json.loads((tmp_path / f"{name}.json").read_text()) for name in names]
    nads, total, sweeps, scaling, colours, draws, kernels = contents
    assert [row["method"] for row in nads["rows"]] == ["secant", "gradient", "mixed"]
    for row in nads["rows"]:
        assert row["networks"] >= 1
        assert row["factor"] == pytest.approx(60 * row["core_hours_naive"] / row["core_minutes"])
        assert 0 < row["share_of_peak"] < 2
    assert {a["amount"] for a in nads["rows"][1]["amounts"]} == {1, 4, 16, 64, "all"}
    assert total["seconds"] == pytest.approx(sum(row["seconds"] for row in total["rows"]))
    assert sweeps["networks"]["logreg"]["repeats"] == 2
    assert len(scaling["tables"]["tiny"]) == 1
    assert colours["rows"][0]["gain"] > 2
    assert colours["rows"][0]["bytes_of_sums"] == {"whole": 9 * 8 * 256**2 * 8, "block": 8 * 256**2 * 8}
    for kind in draws["kinds"].values():
        assert kind["counts_for"] == pytest.approx(2 / (1 + kind["correlation"]))
    assert [row["case"] for row in kernels["rows"]] == ["plain secant", "densenet121 gradient"]
    for row in kernels["rows"]:
        assert 0 < row["exact"]["seconds"] < 60
        assert row["decided"] == (row["bias_squared"] > 2 * row["bias_squared_error"])
        assert row["sampling_seconds"] == pytest.approx(row["worth"] * row["network_seconds"])
        assert 0.5 < row["trace_ratio"] < 2  # neither has rectified skips
    for content in contents:
        assert content["hardware"]["cores"] >= 1
        assert "torch" in content["versions"]
    assert (tmp_path / "README.md").read_text() == page.page(tmp_path)
    plots = dict(drawn(tmp_path, page.plots))
    assert len(plots) == 6
    assert all(plots.values())
    assert page.quote(tmp_path) in done.stdout


def test_tiny_numbers_never_replace_measured_ones():
    done = subprocess.run(RUN, capture_output=True, text=True)
    assert done.returncode == 2
    assert "expected --output with --tiny" in done.stderr


def test_the_committed_page_and_plots_are_those_of_the_committed_files(page):
    assert (RESULTS / "README.md").read_text(encoding="utf-8") == page.page(RESULTS)
    plots = dict(drawn(RESULTS, page.plots))
    assert plots
    assert all(plots.values()), [name for name, same in plots.items() if not same]
