"""The report: complete, self-contained, escaped, both presets in it, and honest about what is missing or damaged."""

import base64
import fnmatch
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
import throwaway
import torch
import xarray as xr
from anisotropy import directions, nads
from anisotropy._util import paths
from anisotropy.cli import report, reproduce
from anisotropy.paper import claims, passports, plotting
from anisotropy.site import _packing, articles, explorer, pages, rendering, runs
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

PROSE = "# A title\n\nWhat the notebook is about."
EVIL = '<img src=x onerror="alert(1)"><script>alert(2)</script></script>'


def png() -> bytes:
    import io

    stream = io.BytesIO()
    figure, ax = plt.subplots(figsize=(1, 1))
    ax.plot([1, 2])
    figure.savefig(stream, format="png")
    plt.close(figure)
    return stream.getvalue()


def notebook(*, prose: str = PROSE, text: str = "done", code: str = 'run.save(figure, "maps", {})'):
    picture = base64.b64encode(png()).decode()
    outputs = [
        new_output("stream", text=text),
        new_output("display_data", {"image/png": picture, "text/plain": "<Figure>"}),
        new_output("display_data", {"text/html": f"<b>{EVIL}</b>", "text/plain": "plain text"}),
    ]
    cells = [new_markdown_cell(prose), new_markdown_cell("## Maps\n\nProse."), new_code_cell(code, outputs=outputs)]
    return new_notebook(cells=[*cells, new_markdown_cell("## Check against the claim")])


def leave(preset: str, name: str = "01_one", **changes):
    """What a run leaves: a figure with passport, claims, and the executed copy."""
    run = passports.Run(name, {"preset": preset, "seed": 3, "test_samples": 400, "word": changes.get("word", "a")})
    figure, ax = plt.subplots(figsize=(2, 1))
    ax.plot([1, 2])
    grid = np.linspace(0.5, 1, 16).reshape(4, 4)
    numbers = {"frequencies": [-2, -1, 0, 1], "lenet": grid, changes.get("key", "logreg"): grid * 0 + 0.9}
    run.save(figure, "maps", numbers)
    run.save(figure, "curve", {"index": [0, 3, 9], "accuracy_lenet": [[0.9, 0.8], [0.7, 0.7], [0.5, 0.6]]})
    plt.close(figure)
    value = 0.93 if preset == "laptop" else 0.71
    made = [
        claims.at_least(changes.get("statement", "the map has a peak"), "Fig. 1", value, 0.8, spread=0.01, n=4),
        claims.undecided(f"only said by {preset}", "Fig. 9", changes.get("why", "too small")),
    ]
    run.save_claims(claims.Table(made))
    copy = changes.get("notebook") or notebook()
    (run.folder / f"{name}.ipynb").write_text(nbformat.writes(copy), encoding="utf-8")
    outputs = sorted(path.name for path in run.folder.iterdir())
    (run.folder / "run.json").write_text(json.dumps({"seconds": 75, "outputs": outputs}))
    return run.folder


@pytest.fixture(autouse=True)
def _notebooks_elsewhere(tmp_path, monkeypatch):
    folder = tmp_path / "notebooks"
    throwaway.write(folder, "01_one", "print(1)")
    monkeypatch.setenv("ANISOTROPY_NOTEBOOKS", str(folder))
    monkeypatch.setattr(nads, "available", lambda: ["lenet"])  # the others take time, and add nothing here


def read(preset: str = "quick", **files) -> BeautifulSoup:
    return BeautifulSoup(report.build(preset, **files).read_text(encoding="utf-8"), "html.parser")


def data(page: BeautifulSoup) -> dict:
    return json.loads(page.find("script", id="explorer-data").string)


def test_the_page_holds_claims_explorer_figures_and_notebooks():
    leave("quick")
    page = read()
    assert [s["id"] for s in page.find_all("section") if s.get("id")] == ["claims", "explorer", "figures", "notebooks"]
    row = page.find("th", string="the map has a peak").find_parent("tr")
    assert [" ".join(cell.text.split()) for cell in row.find_all("td")] == [
        "Fig. 1 ≥ 0.80", "0.71 ± 0.01 (n = 4) fails", "notebook"
    ]  # fmt: skip
    assert row.find("a")["href"] == "01_one/01_one.ipynb"
    undecided = page.find("th", string="only said by quick").find_parent("tr")
    assert "not decided" in undecided.text
    assert "too small" in undecided.text
    figure = page.find("article", attrs={"aria-label": "Figure maps of 01_one"})
    assert figure.find("h4").text == "Maps"
    assert "word = a" in figure.find("dl").text
    assert figure.find("a", string="maps.json")["href"] == "01_one/maps.json"
    listed = page.find(id="nb-01_one")
    assert listed.find("a", string="A title")["href"] == "01_one/01_one.ipynb"
    assert "1 min 15 s" in listed.text


def test_every_link_leads_somewhere_and_every_picture_says_what_it_is():
    leave("quick")
    leave("quick", "02_other")
    page = read()
    ids = [e["id"] for e in page.find_all(id=True)]
    assert len(ids) == len(set(ids))
    inner = [a["href"] for a in page.find_all("a", href=True) if a["href"].startswith("#")]
    assert {href[1:] for href in inner} <= set(ids)
    files = [a["href"] for a in page.find_all("a", href=True) if not a["href"].startswith(("#", "https:"))]
    assert "02_other/02_other.ipynb" in files
    assert all((paths.output() / "quick" / name).is_file() for name in files)
    pictures = page.find_all("img")
    assert len(pictures) == 4
    for image in pictures:
        assert re.match(r"data:image/(png|webp|jpeg);base64,", image["src"])
        assert len(image["alt"]) > 20
        assert int(image["width"]) > 0
    assert "frequencies, lenet, logreg" in page.find("img", alt=re.compile("figure maps"))["alt"]


def test_nothing_is_fetched_and_only_the_pages_own_scripts_may_run():
    leave("quick")
    page = read()
    for tag, attribute in (("img", "src"), ("script", "src"), ("link", "href"), ("iframe", "src"), ("source", "src")):
        assert all(e[attribute].startswith("data:") for e in page.find_all(tag) if e.get(attribute))
    assert not re.search(r"url\(|@import", page.find("style").string)
    policy = page.find("meta", attrs={"http-equiv": "Content-Security-Policy"})["content"]
    assert policy.startswith("default-src 'none'; img-src data:;")
    own = [s.string for s in page.find_all("script") if s.get("type") != "application/json"]
    hashes = {f"'sha256-{base64.b64encode(hashlib.sha256(s.encode()).digest()).decode()}'" for s in own}
    assert set(re.findall(r"'sha256-[^']+'", policy)) == hashes
    assert len(hashes) == 3


def test_formulas_are_mathml():
    shown = BeautifulSoup(rendering.math(r"\mathbf x = \epsilon\, y\, \mathbf v \tag{3}", display=True), "html.parser")
    assert shown.find("math", display="block").find_parent(class_="formula").find(class_="eq-number").text == "(3)"
    assert "𝐱" in shown.find("math").text
    assert "mathvariant" not in str(shown)  # which browsers ignore


@pytest.mark.parametrize("latex", [r"\unknowncommand{x}", r"\frac{1}{", r"\begin{nothing} x \end{nothing}", ""])
def test_a_formula_that_cannot_be_converted_is_shown_as_it_was_written(latex):
    shown = BeautifulSoup(rendering.math(latex), "html.parser")
    assert shown.find(["math", "code"]) is not None


def test_formulas_cannot_smuggle_elements_in():
    shown = BeautifulSoup(
        rendering.math(r"\text{<script>alert(1)</script>} \href{javascript:alert(1)}{x}"), "html.parser"
    )
    assert shown.find("script") is None
    assert shown.find(href=True) is None
    assert "<script>" in shown.text


def test_what_comes_from_results_is_escaped():
    dirty = notebook(prose=f"# {EVIL}", text=EVIL)
    folder = leave("quick", word=EVIL, statement=EVIL, why=EVIL, key=EVIL, notebook=dirty)
    passport = json.loads((folder / "maps.passport.json").read_text())
    passport |= {"finished": EVIL, "commit": {"hash": EVIL, "clean": EVIL}, "hardware": {"cpu": EVIL, "gpu": [EVIL]}}
    (folder / "maps.passport.json").write_text(json.dumps(passport))
    page = read()
    assert len(page.find_all("script")) == 4
    assert not page.find_all(onerror=True)
    assert all(image["src"].startswith("data:") for image in page.find_all("img"))
    assert not [a for a in page.find_all("a", href=True) if a["href"].startswith("javascript")]
    assert EVIL in page.find("table", class_="claims").text
    assert EVIL in page.find(id="nb-01_one").text
    assert any(EVIL in network["label"] for network in data(page)["networks"])


def test_a_larger_preset_is_shown_beside_and_says_which_it_is():
    leave("quick")
    leave("laptop")
    page = read()
    heads = [th.text for th in page.find("table", class_="claims").find("thead").find_all("th")]
    assert heads[2:4] == ["Ours, quick", "Ours, laptop"]
    cells = page.find("th", string="the map has a peak").find_parent("tr").find_all("td", class_="ours")
    assert [" ".join(cell.text.split()) for cell in cells] == ["0.71 ± 0.01 (n = 4) fails", "0.93 ± 0.01 (n = 4) holds"]
    assert page.find("th", string="only said by laptop") is not None
    figure = page.find("article", attrs={"aria-label": "Figure maps of 01_one"})
    assert [span.text for span in figure.find_all(class_="preset")] == ["quick", "laptop"]
    assert figure.find("a", href="../laptop/01_one/maps.json") is not None
    assert page.find(id="nb-01_one").find(class_="preset").text == "quick"
    lenet = next(n for n in data(page)["networks"] if n["key"] == "lenet")
    assert [m["label"] for m in lenet["maps"]] == ["01_one, quick", "01_one, laptop"]
    alone = read("laptop")
    assert "Ours, quick" not in alone.text
    assert alone.find("th", string="only said by quick") is None


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("claims.json", b'{"claims": [{"state', "claims.json cannot be read"),
        ("claims.json", b'["claims"]', "claims.json: expected a mapping"),
        ("claims.json", b'{"claims": [{"statement": "x"}]}', "claim 1 cannot be read"),
        ("maps.passport.json", b"\xff\xfe", "maps.passport.json cannot be read"),
        ("maps.passport.json", None, "this figure has no passport"),
        ("maps.png", b"\x89PNG\r\n", "maps.png cannot be shown"),
        ("maps.json", b'{"frequencies": [', "maps.json cannot be read"),
        ("run.json", b"[", "run.json cannot be read"),
        ("01_one.ipynb", b'{"cells": [', "01_one.ipynb is not a notebook"),
        ("01_one.ipynb", b"[" * 100_000, "01_one.ipynb is not a notebook"),
    ],
)
def test_a_damaged_file_is_named_and_the_rest_is_shown(name, content, said):
    folder = leave("quick")
    leave("quick", "02_other")
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content)
    page = read()
    assert said in page.text
    assert len(page.find_all("th", string="the map has a peak")) == (1 if name == "claims.json" else 2)
    assert len(page.find_all("article")) == 4
    assert page.find(id="nb-02_other") is not None


NASTY = [None, True, -1, 10**400, 1e308, float("nan"), float("inf"), "\ud800", "", [], [[]], {}, {"a": [None]}]


def test_figures_of_the_largest_preset_stand_beside_those_asked_for():
    for preset in ("quick", "laptop", "paper"):
        leave(preset)
    page = read()
    figure = page.find("article", attrs={"aria-label": "Figure maps of 01_one"})
    assert [span.text for span in figure.find_all(class_="preset")] == ["quick", "paper"]
    row = page.find("th", string="the map has a peak").find_parent("tr")
    assert row.text.count("n = 4") == 3  # claims of all


def test_what_was_deleted_is_named():
    folder = leave("quick")
    assert "no longer there" not in read().text
    (folder / "curve.png").unlink()
    (folder / "maps.svg").unlink()
    said = " ".join(read().text.split())
    assert "quick: curve.png, maps.svg: written by the run, and no longer there; the same run makes it again" in said


@pytest.mark.parametrize("outputs", ["null", '"maps.png"', "[1, null]", '["../../etc", "maps.png"]'])
def test_a_damaged_list_of_outputs_hides_nothing(outputs):
    folder = leave("quick")
    (folder / "run.json").write_text(f'{{"seconds": 75, "outputs": {outputs}}}')
    assert read().find("img")


@pytest.mark.parametrize("name", ["claims.json", "maps.passport.json", "curve.json", "maps.json", "run.json"])
def test_no_value_of_a_wrong_type_or_size_stops_the_report(name, monkeypatch):
    folder = leave("quick")
    monkeypatch.setattr(rendering, "picture", lambda _: ("data:,", 1, 1))  # what is not asked here takes the time
    monkeypatch.setattr(articles.Article, "read", lambda path: articles.Article(path.stem, "title", {}, None))
    monkeypatch.setattr(nads, "available", list)
    whole = json.loads((folder / name).read_text())
    first = whole["claims"][0] if name == "claims.json" else {}
    places = [(whole, key) for key in whole] + [(first, key) for key in first]
    places += [(whole[key], inner) for key in ("commit", "hardware") if key in whole for inner in whole[key]]
    for place, key in places:
        kept = place[key]
        for value in NASTY:
            place[key] = value
            (folder / name).write_text(json.dumps(whole))
            found = runs.collect(paths.output(), "quick")
            page = pages.report("quick", {"quick": found}, explorer.data(found), folder.parent)
            assert "only said by quick" in page or name == "claims.json"
        place[key] = kept


def test_a_character_that_no_file_can_hold_is_replaced():
    folder = leave("quick")
    content = (folder / "claims.json").read_text().replace("the map has a peak", "the map \\ud800 has a peak")
    (folder / "claims.json").write_text(content)
    assert read().find("th", string="the map ? has a peak") is not None


@pytest.mark.parametrize(("state", "said"), [("failed", "The last run failed"), ("running", "the run did not end")])
def test_a_run_that_failed_or_was_interrupted_is_shown_as_such(state, said):
    folder = leave("quick")
    (folder / "01_one.ipynb").rename(folder / f"01_one.{state}.ipynb")
    page = read()
    assert said in page.text
    assert {"failed": "failed", "running": "interrupted"}[state] in page.find(id="nb-01_one").text
    assert page.find("th", string="the map has a peak") is not None


def test_a_notebook_that_was_not_run_says_how_to_run_it(tmp_path):
    throwaway.write(tmp_path / "notebooks", "02_other", "print(1)")
    leave("quick")
    shown = read().find(id="nb-02_other")
    assert "make reproduce PRESET=quick ONLY=02_other" in shown.text
    assert shown.find(class_="chip").text == "not run"


def test_with_nothing_there_it_says_what_to_run(capsys):
    assert report.main([]) == 2
    assert "no results of the preset 'quick': make them with `make reproduce PRESET=quick`" in capsys.readouterr().err
    leave("laptop")
    assert report.main([]) == 2
    assert "or show what is there: make report PRESET=laptop" in capsys.readouterr().err
    assert report.main(["--preset", "laptp"]) == 2
    assert "did you mean 'laptop'" in capsys.readouterr().err
    assert not (paths.output() / "quick").exists()


@pytest.mark.parametrize("preset", ["../quick", "/tmp", ".", ""])
def test_a_preset_cannot_leave_the_folder(preset, capsys):
    leave("quick")
    assert report.main(["--preset", preset]) == 2
    assert "expected a preset name of letters" in capsys.readouterr().err


def test_files_from_outside_the_folder_are_not_shown(tmp_path):
    folder = leave("quick")
    secret = tmp_path / "secret.json"
    secret.write_text('{"secret": "do not show"}')
    (folder / "maps.json").unlink()
    (folder / "maps.json").symlink_to(secret)
    (folder / "curve.png").unlink()
    (folder / "curve.png").symlink_to(tmp_path / "elsewhere.png")
    (tmp_path / "elsewhere.png").write_bytes(png())
    passport = json.loads((folder / "maps.passport.json").read_text()) | {"numbers": "../../secret.json"}
    (folder / "maps.passport.json").write_text(json.dumps(passport))
    page = read()
    assert "do not show" not in str(page)
    assert not [a for a in page.find_all("a", href=True) if "secret" in a["href"]]
    assert page.find("article", attrs={"aria-label": "Figure curve of 01_one"}) is None


def test_a_page_that_cannot_be_written_leaves_the_earlier_one(monkeypatch, capsys):
    leave("quick")
    written = report.build()
    before = written.read_bytes()
    real = os.replace
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    assert report.main([]) == 2
    said = capsys.readouterr().err
    assert re.search(r"error: could not write .*index\.html: No space left on device; what was there before is", said)
    monkeypatch.setattr(os, "replace", real)
    assert written.read_bytes() == before
    assert sorted(p.name for p in written.parent.iterdir() if p.is_file()) == ["README.md", "index.html"]


def test_a_run_writes_the_report_at_its_end(tmp_path):
    output = tmp_path / "run"
    environment = os.environ | {"ANISOTROPY_PARAMS": str(tmp_path / "params")}
    command = [sys.executable, "-m", "anisotropy", "reproduce", "--output", str(output)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert f"report: {output}/quick/index.html" in done.stdout
    assert "01_one" in (output / "quick" / "index.html").read_text()


def test_a_run_can_do_without_the_report(monkeypatch, capsys):
    monkeypatch.setattr(reproduce, "reproduce", lambda *_, **__: {"01_one": "done"})
    monkeypatch.setattr(report, "after", lambda *_: "report: asked for")
    for arguments, asked in ([], True), (["--no-report"], False), (["--list"], False):
        assert reproduce.main(arguments) == 0
        assert ("asked for" in capsys.readouterr().out) is asked


def test_at_the_end_of_a_run_nothing_to_show_is_a_line_and_no_error(tmp_path):
    assert report.after("quick", tmp_path).startswith("report: not written: there are no results")


def test_the_installed_package_has_the_parts_of_the_page():
    project = tomllib.loads((paths.root() / "pyproject.toml").read_text())
    patterns = project["tool"]["setuptools"]["package-data"]["anisotropy"]
    parts = [p.relative_to(pages.WEB).as_posix() for p in pages.WEB.rglob("*.*") if not p.name.startswith(".")]
    assert {"report.html", "first.html", "static/report.css", "static/explorer.js"} <= set(parts)
    for name in parts:
        matching = [
            p for p in patterns if fnmatch.fnmatch(f"site/web/{name}", p) and p.count("/") == name.count("/") + 2
        ]
        assert matching, name


def test_the_committed_results_make_one_small_page(monkeypatch):
    """All notebooks of the preset laptop, once as if they were quick's, and beside them as they are committed."""
    output = paths.output()
    monkeypatch.undo()
    monkeypatch.setenv("ANISOTROPY_OUTPUT", str(output))
    shutil.copytree(paths.root() / "figures" / "laptop", output / "quick", ignore=shutil.ignore_patterns("index.html"))
    written = report.build()
    assert written.stat().st_size < 4e6
    text = written.read_text(encoding="utf-8")
    page = BeautifulSoup(text, "html.parser")
    assert len(data(page)["networks"]) >= 5
    figure = page.find("article", attrs={"aria-label": "Figure fig4a of 02_pooling_theory"})
    assert [span.text for span in figure.find_all(class_="preset")] == ["quick", "laptop"]
    assert figure.find("a", string="fig4a.csv")["href"] == "02_pooling_theory/fig4a.csv"
    assert figure.find("code").text == "fig4a.csv"  # the committed one lies in another tree: no link out of this one
    ids = {e["id"] for e in page.find_all(id=True)}
    assert {a["href"][1:] for a in page.find_all("a", href=True) if a["href"].startswith("#")} <= ids


# ---------------------------------------------------------------- data of the explorer


def small(shape=(1, 8, 8), k=None, name="mine", seed=0) -> nads.Nads:
    generator = torch.Generator().manual_seed(seed)
    size = int(np.prod(shape))
    k = k or size
    rows = torch.linalg.qr(torch.randn(size, k, generator=generator, dtype=torch.float64)).Q.T
    values = torch.linspace(2, 0.01, k, dtype=torch.float64) ** 2
    settings = {"architecture": {"name": name}, "method": "secant", "step": 100.0}
    return nads.Nads(values, rows.float().view(k, *shape), 30, eigenvalue_errors=0.1 * values, settings=settings)


def floats(text: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), dtype="<f4")


def test_the_response_map_is_the_quadratic_form_of_fourier_vectors():
    for shape in ((1, 8, 8), (1, 6, 9)):
        found = small(shape)
        basis = directions.fourier(*shape[1:])
        expected = basis.picture(found.energy(basis.vectors[:, None]).numpy()) / float(found.eigenvalues.mean())
        packed = _packing.pack(found)["response"]
        np.testing.assert_allclose(np.reshape(packed["values"], shape[1:]), expected, rtol=1e-3)
        assert packed["ky"] == [k - shape[1] // 2 for k in range(shape[1])]
        assert not packed["partial"]
    assert _packing.pack(small((1, 8, 8), k=5))["response"]["partial"]


def test_pictures_keep_the_directions():
    found = small((3, 8, 8))
    packed = _packing.pack(found)
    assert packed["indices"] == list(range(192))
    pixels = np.frombuffer(base64.b64decode(packed["pixels"]), dtype=np.int8).reshape(192, -1).astype(float)
    similar = (pixels * found.rows.numpy()).sum(1) / np.linalg.norm(pixels, axis=1)
    assert similar.min() > 0.9999
    np.testing.assert_allclose(floats(packed["eigenvalues"]), found.eigenvalues, rtol=1e-6)
    assert packed["how"] == "30 untrained networks, secant with h = 100"


def test_large_pictures_are_averaged_and_their_spectra_are_not_those_of_the_averages():
    wave = torch.cos(torch.pi * torch.arange(160.0))[None, :].expand(160, 160)  # the highest frequency there is
    found = nads.Nads(torch.ones(1), (wave / wave.norm())[None, None].clone(), 5)
    packed = _packing.pack(found)
    assert packed["shape"] == [1, 54, 54]
    assert packed["block"] == 3
    spectrum = np.frombuffer(base64.b64decode(packed["spectra"]), dtype=np.uint8).reshape(54, 54)
    row, column = np.unravel_index(spectrum.argmax(), spectrum.shape)
    assert abs(row - 27) <= 1
    assert column == 0


def sweep(tmp_path, name="s.nc", dims=("direction", "seed"), **coordinates):
    values = np.array([[0.9, 0.7], [0.6, 0.6], [0.5, 0.4]])
    labels = {"direction": np.arange(3), "arm": ["clean", "NAD 0", "NAD 7"]}[dims[0]]
    dataset = xr.Dataset(
        {"test_accuracy": (dims, values)},
        coords={dims[0]: labels, "seed": [0, 1], "architecture": coordinates.pop("architecture", "lenet")}
        | {key: (dims[0], value) for key, value in coordinates.items()},
    )
    path = tmp_path / name
    path.write_bytes(bytes(dataset.to_netcdf(engine="scipy")))
    return path


def test_own_sweeps_and_nads_come_into_the_explorer(tmp_path):
    leave("quick")
    mine = small(name="mine").save(tmp_path / "mine.safetensors")
    over = sweep(tmp_path, "map.nc", ky=[0, -4, 1], kx=[0, 2, 3])
    along = sweep(tmp_path, "along.nc", index=[9, 0, 4], architecture="mine")
    arms = sweep(tmp_path, "arms.nc", dims=("arm", "seed"), architecture="other")
    page = read(nad_files=[mine], sweep_files=[over, along, arms])
    networks = {n["key"]: n for n in data(page)["networks"]}
    own = networks["mine (mine.safetensors)"]
    assert own["own"] is True
    assert own["nads"]["total"] == 64
    assert own["curves"][0]["index"] == [0, 4, 9]
    assert own["curves"][0]["mean"] == [0.6, 0.45, 0.8]
    np.testing.assert_allclose(own["curves"][0]["spread"], [0, 0.07071, 0.14142], atol=1e-5)
    table = networks["lenet"]["maps"][-1]
    assert table["label"] == "map.nc"
    cells = dict(zip([(y, x) for y in table["ky"] for x in table["kx"]], table["values"], strict=True))
    assert cells[0, 0] == 0.8
    assert cells[1, 3] == cells[-1, -3] == 0.45
    assert cells[-4, 2] == cells[-4, -2] == 0.6  # -4 is its own conjugate on a side of 8
    assert cells[0, 2] is None
    assert networks["other"]["curves"][0]["index"] == [0, 7]
    assert "NAD 7" in page.find("table", class_="plain").text
    assert "80.0 ± 14.1" in page.find("table", class_="plain").text


@pytest.mark.parametrize(
    ("option", "content", "said"),
    [
        ("--nads", None, "expected a file or one of"),
        ("--nads", b"PK\x03\x04 pickled", "is not a file written by Nads.save"),
        ("--sweep", None, "no file"),
        ("--sweep", b"CDF\x01\x00\x00\x00\x00cut", "is not a netCDF file that a sweep wrote"),
        ("--sweep", b"\x80\x04\x95 a pickle", "is not a netCDF file that a sweep wrote"),
    ],
)
def test_a_file_of_the_reader_that_is_at_fault_stops_the_report(tmp_path, capsys, option, content, said):
    leave("quick")
    path = tmp_path / "file.bin"
    if content is not None:
        path.write_bytes(content)
    assert report.main([option, str(path)]) == 2
    assert said in capsys.readouterr().err
    assert not (paths.output() / "quick" / "index.html").exists()


def test_a_sweep_of_something_else_is_refused(tmp_path):
    path = tmp_path / "other.nc"
    path.write_bytes(bytes(xr.Dataset({"temperature": ("time", [1.0])}).to_netcdf(engine="scipy")))
    with pytest.raises(ValueError, match="expected test_accuracy by"):
        explorer.read_sweep(path)


def test_numbers_of_a_figure_that_are_no_accuracies_are_left_out():
    figure = runs.Figure("f", paths.output())
    result = runs.Result("05_x", "quick", paths.output())
    networks = {}
    numbers = {"frequencies": [0, 1], "lenet": [[1.0, 2.0], [0.0, 0.5]], "vgg11": [[1.0], [1.0]], "logreg": "text"}
    for values in (numbers, {"frequencies": "all", "lenet": 3}, {"index": [0, 1], "accuracy_lenet": [[0.5]]}):
        figure.__dict__["values"] = values
        explorer._from_figure(networks, result, figure)
    assert networks == {}
    figure.__dict__["values"] = {"arm": ["clean", "NAD 3", "NAD 1"], "lenet_test_accuracy": [[1.0], [0.4], ["NaN"]]}
    explorer._from_figure(networks, result, figure)
    assert networks["lenet"].curves[0]["index"] == [1, 3]
    assert networks["lenet"].curves[0]["mean"] == [None, 0.4]
    assert networks["lenet"].curves[0]["spread"] is None


@pytest.mark.parametrize(("preset", "least"), [("laptop", 50), ("paper", 20)])
def test_the_claims_are_on_a_page_of_their_own(preset, least):
    """For who reads the repository where it lies: what is committed is what the committed claims give."""
    base = paths.root() / "figures"
    found = runs.collect(base, preset)
    page = (base / preset / "README.md").read_text(encoding="utf-8")
    assert page == report.claims_page(preset, found, base / preset)
    assert page.count("\n| ") - page.count("| claim |") == sum(len(result.claims) for result in found) > least


def test_a_network_has_the_colour_of_its_figures_in_the_explorer(tmp_path):
    """Whatever other networks the page shows, and in whatever order it meets them."""
    figure = runs.Figure("fourier", paths.output())
    names = ["mlp", "blurpool:lenet", "PatchTransformer", "mine:network"]
    figure.__dict__["values"] = {"frequencies": [0, 1]} | {name: [[1.0, 0.5], [0.0, 0.5]] for name in names}
    networks = {}
    explorer._from_figure(networks, runs.Result("07_x", "quick", paths.output()), figure)
    looks = plotting.looks(["mine:network", "anisotropy.blurpool:lenet", "anisotropy.variants:PatchTransformer"])
    for full, look in looks.items():
        (found,) = [n.colour for key, n in networks.items() if full.endswith(key)]
        assert found == look["color"]
    values = torch.ones(1)
    settings = {"architecture": {"name": "mine:network"}}
    nads.Nads(values, torch.ones(1, 1, 1, 1), 2, settings=settings).save(tmp_path / "a.safetensors")
    shown = explorer.data([], [tmp_path / "a.safetensors"])["networks"]
    assert shown[-1]["colour"] == looks["mine:network"]["color"]


@pytest.mark.parametrize("option", ["--preset", "--output", "--nads"])
def test_a_name_of_300_characters_is_answered_in_a_line(tmp_path, option, capsys):
    leave("quick")
    assert report.main([option, "x" * 300]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert re.search("at most 100 characters|[Tt]oo long|no NADs", said)
