"""Site and report in a browser, from files: no request, no complaint, an explorer that mouse and keyboard drive.

The browser is the system's Chromium (`apt-get install chromium`). Without one these tests are skipped, and say so.
"""

import json
import re
import shutil

import numpy as np
import pytest
import torch
from anisotropy import nads
from anisotropy._util import paths
from anisotropy.cli import report

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is in the extra `dev`")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: apt-get install chromium")

LAPTOP = paths.root() / "figures" / "laptop"
PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1280, "height": 900}


RESULTS = "figures/laptop/README.html"
SHOWN = [
    "index.html", RESULTS, "README.html", "notebooks/02_pooling_theory.html", "notebooks/03_nads.html",
    "docs/statements.html", "docs/statements/theorem1.html", "docs/paper/fig1.html", "docs/figures.html",
    "docs/your_network.html", "api/index.html", "api/nads.html", "search.html",
]  # fmt: skip
"""Pages of each kind."""


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM)
        yield opened
        opened.close()


@pytest.fixture
def look(browser, site):
    """Open a page, the first one if none is named; at the end, no request but of files and no complaint."""
    contexts, requests, complaints = [], [], []

    def open_page(viewport=DESKTOP, scheme="light", name="index.html", **options):
        context = browser.new_context(viewport=viewport, color_scheme=scheme, reduced_motion="reduce", **options)
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: requests.append(request.url))
        page.on("console", lambda m: complaints.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"{site.as_uri()}/{name}")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert [url for url in requests if not url.startswith((f"{site.as_uri()}/", "data:"))] == []
    assert complaints == []


def published_cell(ky: int, kx: int) -> float:
    numbers = json.loads((LAPTOP / "01_fourier_bias" / "accuracy_maps.json").read_text())
    return numbers["lenet"][numbers["frequencies"].index(ky)][numbers["frequencies"].index(kx)]


def over(page, side: str, row: float, column: float) -> None:
    """Move the mouse over a map, to fractions of its height and width."""
    frame = page.locator(f"#map-{side} .map-frame")
    frame.scroll_into_view_if_needed()
    box = frame.bounding_box()
    page.mouse.move(box["x"] + column * box["width"], box["y"] + row * box["height"])


def test_hovering_shows_a_direction_and_its_accuracy(look):
    page = look()
    for ky, kx in ((0, 2), (-8, 6), (14, -16)):
        over(page, "a", ((ky + 16) / 2 + 0.5) / 16, ((kx + 16) / 2 + 0.5) / 16)
        said = page.locator("#map-readout").inner_text()
        assert f"frequency ({ky}, {kx})" in said
        assert f"accuracy {100 * published_cell(ky, kx):.1f} ±" in said
    before = page.locator("#wave").evaluate("c => c.toDataURL()")
    over(page, "a", 0.53, 0.53)
    assert page.locator("#wave").evaluate("c => c.toDataURL()") != before
    assert (
        page.locator("#wave").get_attribute("aria-label") == "The direction: a cosine with 0 periods down and 0 across"
    )


def test_arrow_keys_walk_over_the_map(look):
    page = look()
    frame = page.locator("#map-a .map-frame")
    frame.focus()
    page.keyboard.press("Home")
    assert "frequency (0, 0)" in page.locator("#map-readout").inner_text()
    for key in ("ArrowRight", "ArrowRight", "ArrowUp", "Shift+ArrowLeft"):
        page.keyboard.press(key)
    said = page.locator("#map-readout").inner_text()
    assert "frequency (-2, -4)" in said
    assert f"{100 * published_cell(-2, -4):.1f}" in said
    assert f"{100 * published_cell(-2, -4):.1f}" in frame.get_attribute("aria-label")
    for _ in range(30):
        page.keyboard.press("ArrowUp")
    assert "frequency (-16, -4)" in page.locator("#map-readout").inner_text()  # it stops at the edge
    scrolled = page.evaluate("scrollY")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("scrollY") == scrolled  # the page does not move meanwhile


def test_everything_is_reached_by_the_tab_key_and_shows_it(look):
    page = look()
    wanted = {"theme", "net-a", "net-b", "layer", "curve", "own", "previous", "index", "next", "map-frame"}
    seen = set()
    for _ in range(260):
        page.keyboard.press("Tab")
        name, outline = page.evaluate(
            "() => [document.activeElement.id || document.activeElement.className, "
            "getComputedStyle(document.activeElement).outlineStyle]"
        )
        assert outline != "none", name
        seen.add(name)
        if wanted <= seen:
            break
    assert wanted <= seen


def power(value: float) -> str:
    digits, exponent = f"{value:.2e}".split("e")
    return f"{digits} × 10" + "".join("⁻" if c == "-" else "⁰¹²³⁴⁵⁶⁷⁸⁹"[int(c)] for c in str(int(exponent)))


def test_walking_along_the_nads_by_keyboard(look):
    page = look()
    measured = {name: nads.load(name) for name in ("lenet", "resnet18")}
    page.locator("#index").focus()
    for key, index in (("ArrowRight", 1), ("ArrowRight", 2), ("End", 1023), ("Home", 0), ("ArrowRight", 1)):
        page.keyboard.press(key)
        assert page.locator("#index-shown").inner_text() == f"NAD {index}"
        assert page.locator("#index").get_attribute("aria-valuetext") == f"NAD {index}"
        for side, name in (("a", "lenet"), ("b", "resnet18")):
            said = page.locator(f"#nad-{side}").inner_text()
            assert f"NAD {index} of 1024" in said
            assert power(float(measured[name].eigenvalues[index])) in said


def test_walking_along_the_nads_by_mouse(look):
    page = look()
    for index in (1, 2):
        page.locator("#next").click()
        assert page.locator("#index-shown").inner_text() == f"NAD {index}"
    page.locator("#previous").click()
    assert page.locator("#index-shown").inner_text() == "NAD 1"
    chart = page.locator("#chart-accuracy svg")
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    page.mouse.click(box["x"] + box["width"] - 22, box["y"] + 60)  # the right end
    assert page.locator("#index-shown").inner_text() == "NAD 1023"
    run = paths.root() / "figures" / "04_accuracy_along_nads"
    accuracy = json.loads((run / "accuracy_along_nads.json").read_text())
    first = np.array(accuracy["accuracy_lenet"][accuracy["index"].index(0)])
    page.reload()  # at the first again
    page.locator("#next").click()
    page.locator("#previous").click()
    said = page.locator("#nad-a").inner_text()
    assert f"{100 * first.mean():.1f} ± {100 * first.std(ddof=1):.1f} % ({len(first)} seeds)" in said


def test_the_pictures_are_those_of_the_direction(look):
    page = look()
    page.locator("#net-a").select_option("vgg11")
    page.locator("#index").focus()
    page.keyboard.press("ArrowRight")
    canvas = "(selector) => { const c = document.querySelector(selector); return [c.width, c.height, "
    canvas += "Array.from(c.getContext('2d').getImageData(0, 0, c.width, c.height).data)]; }"
    direction = nads.load("vgg11").directions[1, 0].double().numpy()
    energy = np.abs(np.fft.fftshift(np.fft.fft2(direction))) ** 2
    for number, values in ((0, direction), (1, energy)):
        width, height, data = page.evaluate(canvas, f"#nad-a .pictures figure:nth-child({number + 1}) canvas")
        assert (width, height) == (32, 32)
        pixels = np.array(data).reshape(32, 32, 4)[..., :3].astype(float)
        if number == 0:  # orange is negative in this map of colours, violet is positive
            shade = pixels[..., 2] - pixels[..., 0]
        else:
            shade = pixels.sum(2)
        assert np.corrcoef(shade.ravel(), values.ravel())[0, 1] > 0.9


def test_two_networks_side_by_side_or_one_alone(look):
    page = look()
    assert page.locator("#map-b .side-title").inner_text() == "ResNet-18"
    assert "No trained map of this network here" in page.locator("#map-b").inner_text()
    page.locator("#net-b").select_option("logreg")
    assert page.locator("#map-b .side-title").inner_text() == "logistic regression"
    assert page.locator("#map-readout").inner_text().count("accuracy") == 2
    page.locator("#layer").select_option(label="response of untrained networks")
    assert page.locator("#map-readout").inner_text().count("response") == 2
    assert "response 1.0" in page.locator("#map-readout").inner_text()  # logistic regression prefers nothing
    page.locator("#net-b").select_option("")
    assert not page.locator("#map-b").is_visible()
    assert not page.locator("#nad-b").is_visible()


def test_own_nads_are_opened_in_the_page(look, tmp_path):
    rows = torch.linalg.qr(torch.randn(48, 48, generator=torch.Generator().manual_seed(0), dtype=torch.float64)).Q.T
    values = torch.linspace(1, 0.1, 48, dtype=torch.float64)
    settings = {"architecture": {"name": "<b>mine</b>"}, "method": "gradient"}
    mine = nads.Nads(values, rows.float().view(48, 3, 4, 4), 12, eigenvalue_errors=values / 10, settings=settings)
    path = mine.save(tmp_path / "mine.safetensors")
    page = look()
    page.locator("#own").set_input_files(path)
    page.locator("#own-said", has_text="is shown").wait_for()  # not by a function: the page's policy forbids eval
    assert page.locator("#map-a .side-title").inner_text() == "<b>mine</b> (mine.safetensors)"
    page.locator("#index").focus()
    page.keyboard.press("ArrowRight")
    said = page.locator("#nad-a").inner_text()
    assert "NAD 1 of 48" in said
    assert f"{power(float(values[1]))} ± 10 %" in said
    (tmp_path / "cut.safetensors").write_bytes(path.read_bytes()[:700])
    page.locator("#own").set_input_files(tmp_path / "cut.safetensors")
    page.locator("#own-said", has_text="damaged").wait_for()
    assert page.locator("#map-a .side-title").inner_text() == "<b>mine</b> (mine.safetensors)"


def test_claims_are_filtered_by_their_verdict(look):
    page = look(name=RESULTS)
    rows = page.locator("tr[data-verdicts]")
    total = rows.count()
    failing = page.locator("tr[data-verdicts~='fails']").count()
    assert 0 < failing < total
    page.get_by_role("button", name="fails").click()
    assert page.locator("tr[data-verdicts]:visible").count() == failing
    assert page.locator("#filter-count").inner_text() == f"{failing} of {total}"
    page.get_by_role("button", name="all", exact=True).focus()
    page.keyboard.press("Enter")
    assert page.locator("tr[data-verdicts]:visible").count() == total


def test_statements_are_filtered_and_lead_to_what_was_measured(look):
    page = look()
    page.get_by_role("button", name="contradicted").click()
    shown = page.locator("tr[data-verdicts]:visible")
    assert shown.count() == page.locator("tr[data-verdicts~='fails']").count() > 0
    said = shown.first.locator("th").inner_text()
    shown.first.locator("a").click()
    assert page.locator("h1").inner_text().startswith(said)
    assert page.locator(".chip.fails").first.is_visible()


def test_a_claims_link_opens_the_notebook_where_it_is_checked(look):
    page = look(name=RESULTS)
    page.locator("a[href*='03_nads.html#check']").first.click()
    heading = page.locator(":target h2")
    heading.wait_for(state="visible")
    assert heading.inner_text().startswith("Check")
    page.wait_for_load_state("load")
    page.wait_for_timeout(300)  # pictures above have their sizes
    assert -5 < heading.bounding_box()["y"] < 400


def test_every_page_opens_without_a_word(look, site):
    names = [p.relative_to(site).as_posix() for p in sorted(site.rglob("*.html"))]
    listings = [name for name in names if name.startswith(("_modules/", "tests/"))]
    page = look()
    for name in [*(name for name in names if name not in listings), *listings[::20]]:
        page.goto(f"{site.as_uri()}/{name}", wait_until="load")
        assert page.title()


def test_the_search_works_from_disk_by_keyboard(look):
    page = look()
    page.get_by_role("searchbox").fill("dipole")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search.html?q=dipole")
    page.locator("#search-results li a").first.wait_for()
    found = page.locator("#search-results li a").evaluate_all("links => links.map(a => a.getAttribute('href'))")
    assert any("notebooks/03_nads.html" in address for address in found)
    page.locator("#search-results li a").first.click()
    page.locator("article h1").first.wait_for()


@pytest.mark.parametrize("name", SHOWN)
@pytest.mark.parametrize("viewport", [PHONE, DESKTOP], ids=lambda v: str(v["width"]))
def test_nothing_reaches_beyond_the_screen(look, viewport, name):
    page = look(viewport, name=name)
    page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    broken = "[...document.images].filter(i => i.loading !== 'lazy' && i.complete && !i.naturalWidth).length"
    assert page.evaluate(broken) == 0


def contrast(page, selector: str) -> float:
    """Contrast of an element's text with what is behind it (WCAG 2)."""
    found = page.evaluate(
        """selector => {
          const e = document.querySelector(selector);
          let behind = e;
          while (getComputedStyle(behind).backgroundColor === 'rgba(0, 0, 0, 0)') behind = behind.parentElement;
          return [getComputedStyle(e).color, getComputedStyle(behind).backgroundColor];
        }""",
        selector,
    )

    def luminance(colour):
        channels = np.array([float(c) for c in re.findall(r"[\d.]+", colour)[:3]]) / 255
        linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    low, high = sorted(map(luminance, found))
    return (high + 0.05) / (low + 0.05)


READ = {
    "index.html": ".lede .about .quiet .chip.holds .chip.fails .chip.mixed .chip.undecided .reference .ways=a .bar=a",
    RESULTS: "h1 .about .quiet .chip.holds .chip.fails .chip.undecided .reference .preset footer=p",
    "docs/statements.html": "article=h1 article=p article=a .chip.holds .chip.fails .chip.mixed .chip.undecided",
    "notebooks/03_nads.html": "article=p .highlight=.k .highlight=.mi .highlight=.c1 .highlight=.s2 .toc-tree=a",
    "api/nads.html": "dt.sig .sig-name dd=p .sidebar-tree=a",
}
"""Page -> what is read there, `=` for a space."""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", READ)
def test_text_stands_out_in_light_and_in_dark(look, scheme, name):
    page = look(scheme=scheme, name=name)
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (int(re.findall(r"\d+", ground)[0]) > 128) is (scheme == "light")
    page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    for selector in READ[name].split():
        assert contrast(page, selector.replace("=", " ")) >= 4.5, (selector, scheme)


@pytest.mark.parametrize(
    ("name", "button"), [("index.html", "#theme"), ("docs/reader.html", ".theme-toggle-content button")]
)
def test_the_theme_is_switched_by_keyboard(look, name, button):
    page = look(scheme="light", name=name)
    colour = "getComputedStyle(document.body).backgroundColor"
    light, seen = page.evaluate(colour), set()
    page.locator(button).focus()
    for _ in range(3):  # Furo has a third state, the system's
        page.keyboard.press("Enter")
        seen.add(page.evaluate(colour))
    assert len(seen) == 2
    assert light in seen


def test_without_scripts_everything_but_the_explorer_is_there(look):
    page = look(java_script_enabled=False)
    assert page.locator("#claims table").first.is_visible()
    assert page.locator("noscript").inner_text().startswith("The explorer needs JavaScript")
    assert not page.locator("#explorer-app").is_visible()
    article = look(java_script_enabled=False, name="notebooks/02_pooling_theory.html")
    assert article.locator("math").first.is_visible()


def test_the_report_is_one_file_with_the_same_explorer(browser, tmp_path):
    """What `make report` leaves: no request but for the page itself, nothing beyond the screen of a phone."""
    shutil.copytree(LAPTOP, tmp_path / "laptop", ignore=shutil.ignore_patterns("index.html"))
    written = report.build("laptop", output=tmp_path)
    context = browser.new_context(viewport=PHONE, color_scheme="dark")
    page = context.new_page()
    requests, complaints = [], []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(written.as_uri())
    page.locator("#map-a .map-frame").focus()
    page.keyboard.press("Home")
    assert "frequency (0, 0)" in page.locator("#map-readout").inner_text()
    page.get_by_role("button", name="fails").click()
    assert page.locator("tr[data-verdicts]:visible").count() == page.locator("tr[data-verdicts~='fails']").count()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    context.close()
    assert [url for url in requests if not url.startswith("data:")] == [written.as_uri()]
    assert complaints == []
