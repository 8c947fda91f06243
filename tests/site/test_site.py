"""The site: no link broken, every statement and figure has a page, formulas are drawn, pictures described."""

import html
import itertools
import json
import re
from urllib.parse import unquote, urldefrag

import anisotropy
import pytest
from anisotropy._util import paths
from anisotropy.cli import site as command
from anisotropy.notebooks import declarations
from anisotropy.paper import judging
from anisotropy.site import api, building, documentation, statement_pages
from sphinx.cmd import build as sphinx_build


@pytest.fixture(scope="module")
def pages(site):
    """Path of a page, from the first one's folder -> its text."""
    return {p.relative_to(site).as_posix(): p.read_text(encoding="utf-8") for p in sorted(site.rglob("*.html"))}


def addresses(text: str) -> set[str]:
    """What a page links to, shows or loads."""
    return {html.unescape(found) for found in re.findall(r"""<[^>]*?\s(?:href|src)=["']([^"']*)["']""", text)}


def test_no_link_is_broken(site, pages):
    ids = {name: set(re.findall(r"""\sid=["']([^"']+)["']""", text)) for name, text in pages.items()}
    broken, followed = [], 0
    for name, text in pages.items():
        folder = (site / name).parent
        for address in addresses(text):
            if re.match(r"(https?:|mailto:|data:)", address) or address in ("", "#"):
                continue
            path, anchor = urldefrag(address)
            target = (folder / unquote(path.partition("?")[0])).resolve() if path else site / name
            where = target.relative_to(site.resolve()).as_posix() if target.is_relative_to(site.resolve()) else None
            followed += 1
            missing = where is None or not target.is_file()
            if missing or (anchor and where in ids and unquote(anchor) not in ids[where] | {"top"}):
                broken.append((name, address))
    assert broken == []
    assert followed > 5000


def test_a_broken_link_is_found(site, pages):
    text = pages["docs/reader.html"]
    assert "../docs/statements.html" in addresses(text) or "statements.html" in addresses(text)
    assert addresses('<a class="x" href="gone.html#there">x</a><img src=\'a.png\'>') == {"gone.html#there", "a.png"}


def test_nothing_is_loaded_from_the_network(pages):
    loaded = r"""<(?:script|link|img|iframe|source|video)\b[^>]*?\s(?:src|href)=["'](https?:|//)"""
    assert [name for name, text in pages.items() if re.search(loaded, text)] == []


def test_it_is_small(site):
    assert sum(path.stat().st_size for path in site.rglob("*") if path.is_file()) < 60e6


def test_every_article_guide_statement_figure_and_room_has_a_page(pages):
    wanted = {f"notebooks/{name}.html" for name in declarations.available()}
    wanted |= {f"docs/{path.stem}.html" for path in (paths.root() / "docs").glob("*.md")}
    wanted |= {f"docs/statements/{s['id']}.html" for s in judging.committed()["statements"]}
    wanted |= {f"docs/paper/fig{number}.html" for number in range(1, 9)}
    wanted |= {f"api/{room}.html" for room in api.ROOMS} | {"api/index.html", "README.html", "search.html"}
    assert wanted <= set(pages)


def test_the_first_page_names_every_statement_with_its_verdict(pages):
    rows = re.findall(r'<tr role="row" data-verdicts.*?</tr>', pages["index.html"], re.DOTALL)
    shown = {}
    for row in rows:
        name = re.search(r'docs/statements/([\w-]+)\.html"', row)[1]
        shown[name] = html.unescape(re.search(r'<span class="chip [a-z]+">([^<]+)<', row)[1])
    assert shown == {statement.id: status for statement, _, status in statement_pages.judged().statements}
    tallies = re.search(r'<dd class="tallies">.*?</dd>', pages["index.html"], re.DOTALL)[0]
    assert sum(map(int, re.findall(r">(\d+)<", tallies))) == len(shown) > 50


def test_a_statement_leads_to_its_function_its_rows_and_its_test(site, pages):
    """From the page to the measure, from there to the source; from the figure to the test."""
    page = pages["docs/statements/fig1-depends.html"]
    assert "../../api/paper.html#anisotropy.paper.verdicts_tables.fig1_range" in addresses(page)
    assert "make statements PUBLISHED=data/published, 1 min on two cores" in " ".join(
        re.sub(r"<[^>]*>", "", page).split()
    )
    source = "../_modules/anisotropy/paper/verdicts_tables.html"
    assert any(address.startswith(source) for address in addresses(pages["api/paper.html"]))
    assert any(re.match(r"\.\./tests/.*test_\w+\.html", address) for address in addresses(pages["docs/figures.html"]))


def test_every_name_of_the_front_door_is_documented(pages):
    for name in anisotropy.__all__:
        module, attribute = anisotropy._WHERE[name]
        room = module.split(".")[0]
        assert f'id="anisotropy.{module}.{attribute}"' in pages[f"api/{room}.html"], name
    listed = list(itertools.chain.from_iterable(api.groups().values()))
    assert sorted(listed) == anisotropy.__all__


def test_formulas_are_drawn_and_none_is_left_as_it_was_written(pages):
    notebooks = {name: text for name, text in pages.items() if name.startswith("notebooks/")}
    assert sum(text.count("<math") for text in notebooks.values()) > 200
    for name, text in notebooks.items():
        assert 'class="latex"' not in text, name
        prose = re.sub(r"<(pre|code|script|style)\b.*?</\1>", "", text, flags=re.DOTALL)
        assert "$$" not in prose, name
        assert "\\mathbf" not in prose, name


def test_every_picture_is_described(pages):
    for name, text in pages.items():
        for image in re.findall(r"<img\b[^>]*>", text):
            alt = re.search(r'\salt="([^"]*)"', image)
            assert alt, (name, image[:200])
            assert len(alt[1]) > 20, (name, image[:200])


def test_the_authors_article_is_named_as_what_this_builds_on(pages):
    assert "https://lts4.github.io/neural-anisotropy-directions" in addresses(pages["index.html"])


def test_the_search_finds_what_is_on_the_pages_and_no_test(site):
    index = json.loads((site / "searchindex.js").read_text().removeprefix("Search.setIndex(").removesuffix(")"))
    assert "notebooks/03_nads" in index["docnames"]
    assert "dipol" in index["terms"]  # stemmed
    assert not {number for number, name in enumerate(index["docnames"]) if name.startswith("tests/")} & set(
        index["terms"]["assert"] if isinstance(index["terms"].get("assert"), list) else [index["terms"].get("assert")]
    )


@pytest.mark.parametrize(
    ("place", "numbers"),
    [
        ("Sec. 2, Fig. 1", {1}),
        ("caption of Fig. 1", {1}),
        ("Sec. 3.1, Fig. 5 and 1", {1, 5}),
        ("Figures 1, 2 and 3, and supplement A.3", {1, 2, 3}),
        ("Sec. 2.1, Fig. 4a", {4}),
        ("Lemma 2, Eq. 3", set()),
    ],
)
def test_figures_are_recognised_in_places_and_headings(place, numbers):
    assert statement_pages.numbers_in(place) == numbers


def test_docstrings_keep_their_formulas_lists_and_sections():
    lines = ["First `x*` of |v|.", "", "    a |b| = c", "", "* one `a`", "  more", "", "Args:", "    x: of `y`, a*b."]
    assert documentation.restructured(lines) == [
        "First ``x*`` of \\|v\\|.", "", "::", "", "    a |b| = c", "", "* one ``a``", "  more", "", "Args:",
        "    x: of ``y``, a\\*b.",
    ]  # fmt: skip


def test_what_sphinx_complains_of_is_said_and_nothing_is_claimed(tmp_path, monkeypatch, capsys):
    def refuse(arguments):
        print("docs/reader.md:3: WARNING: no such page")
        return 1

    monkeypatch.setattr(sphinx_build, "main", refuse)
    monkeypatch.setattr(building.staging, "stage", lambda target: None)
    assert command.main(["--output", str(tmp_path)]) == 1
    assert "docs/reader.md:3: WARNING: no such page" in capsys.readouterr().err
    assert not (tmp_path / "index.html").exists()


def test_the_committed_figures_carry_their_numbers(site):
    assert (site / "figures" / "laptop" / "01_fourier_bias" / "accuracy_maps.json").is_file()
