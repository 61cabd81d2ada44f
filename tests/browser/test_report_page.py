"""The page of `kmc-oxy report` in a real browser: it is drawn, it fits, and it asks for nothing.

Needs Debian's chromium and chromium-driver and the package selenium. Without them the tests are
skipped, except in continuous integration (CI=true), where their absence is a failure.
"""

import json
import os
import shutil

import pytest

from kmc_oxy.cli import main

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
SMALL = """
name: page in a browser
device: {lattice: {nx: 6, ny: 6}}
engine: {tolerance: 0.2}
protocol:
  - pulse: {voltage: -4 V, duration: 1 s}
  - train: {voltage: 2 V, duration: 1 ms, count: 10}
  - relax: {duration: 10 s, points_per_decade: 3}
  - sweep: {amplitude: 1 V, step: 0.25}
scan: {device.temperature: [76 K, 100 K]}
ensemble: {members: 2, seed: 1}
"""
FIGURES = ("pulse trains", "relaxation", "voltage sweep", "oxygens, first reading",
           "oxygens, last reading", "from above, first reading", "from above, last reading",
           "layer by layer")  # fmt: skip
#: Windows as wide as a desktop's and a small phone's, px.
DESKTOP, PHONE = 1280, 320
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--disable-dev-shm-usage")  # fmt: skip


def absent(what):
    reason = f"{what} is not installed: see tests/browser"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    try:
        from selenium import webdriver
    except ImportError:
        absent("selenium")
    chromium = next(filter(None, map(shutil.which, CHROMIUM)), None)
    driver = shutil.which("chromedriver")
    if chromium is None or driver is None:
        absent("chromium" if chromium is None else "chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in FLAGS:
        options.add_argument(flag)
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('profile')}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    opened = webdriver.Chrome(options, webdriver.ChromeService(driver))
    yield opened
    opened.quit()


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    (folder / "small.yaml").write_text(SMALL)
    output, page = folder / "small.h5", folder / "small.html"
    assert main(["run", str(folder / "small.yaml"), "-o", str(output), "-q"]) == 0
    assert main(["report", str(output), "-o", str(page), "-q"]) == 0
    return page


def show(browser, page, width):
    """Open the page anew in a window of this width."""
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width == PHONE}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.get_log("browser"), browser.get_log("performance")
    browser.get(page.as_uri())


def requested(browser):
    """Addresses that the page asked for."""
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    return [
        message["params"]["request"]["url"]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
    ]


@pytest.mark.parametrize("width", [DESKTOP, PHONE])
def test_page_is_drawn_and_fits(browser, report, width):
    show(browser, report, width)
    images = browser.execute_script(
        "return [...document.images].map(i => { const box = i.getBoundingClientRect();"
        " const caption = i.closest('figure').querySelector('figcaption').textContent;"
        " return [caption, i.complete, i.naturalWidth, box.left, box.right, box.height]; })"
    )
    for name, (caption, complete, pixels, left, right, height) in zip(FIGURES, images, strict=True):
        assert caption.startswith(f"{name.capitalize()}.")
        assert complete and pixels > 500, f"{name} was not drawn"
        assert 0 <= left < right <= width and height > 100, f"{name} has no room"
        assert right - left > 0.8 * min(width, 400), f"{name} is too small to read"
    needed, given = browser.execute_script(
        "const page = document.documentElement; return [page.scrollWidth, page.clientWidth]"
    )
    # A desktop's bar for scrolling takes some of it.
    assert needed <= given and width - 20 < given <= width


def test_every_figure_has_something_on_it(browser, report):
    """Decoded by the browser itself, no image is one colour."""
    show(browser, report, DESKTOP)
    shades = browser.execute_script(
        "return [...document.images].map(i => {"
        " const c = document.createElement('canvas'); c.width = c.height = 64;"
        " const d = c.getContext('2d'); d.drawImage(i, 0, 0, 64, 64);"
        " return new Set(d.getImageData(0, 0, 64, 64).data).size; })"
    )
    assert len(shades) == len(FIGURES) and min(shades) > 10


def test_folded_parts_open_within_the_page(browser, report):
    show(browser, report, PHONE)
    heights = browser.execute_script(
        "return [...document.querySelectorAll('details')].map(d => {"
        " const folded = d.offsetHeight; d.querySelector('summary').click();"
        " return [folded, d.offsetHeight]; })"
    )
    assert len(heights) == 2 and all(opened > folded + 100 for folded, opened in heights)
    page = "document.documentElement"
    assert browser.execute_script(f"return {page}.scrollWidth <= {page}.clientWidth")


def test_nothing_goes_wrong_and_nothing_is_asked_for(browser, report):
    show(browser, report, DESKTOP)
    asked = [url for url in requested(browser) if not url.startswith("data:")]
    assert asked == [report.as_uri()]
    assert browser.get_log("browser") == []


def test_a_request_or_an_error_would_be_noticed(browser, report, tmp_path):
    """The two checks above see what they look for."""
    spoilt = tmp_path / "spoilt.html"
    text = report.read_text(encoding="utf-8")
    spoilt.write_text(text.replace("<main>", '<main><img src="missing.png" alt="">'))
    show(browser, spoilt, DESKTOP)
    # The policy of the page refuses the image and says so.
    assert any("Content Security Policy" in e["message"] for e in browser.get_log("browser"))
    policy = text.index("<meta http-equiv"), text.index('<meta name="viewport"')
    spoilt.write_text(spoilt.read_text()[: policy[0]] + spoilt.read_text()[policy[1] :])
    show(browser, spoilt, DESKTOP)
    assert any(url.endswith("missing.png") for url in requested(browser))


def test_text_has_contrast(browser, report):
    """At least 4.5:1 on its background (WCAG 2 AA) for every element that has text of its own."""
    show(browser, report, DESKTOP)
    pairs = browser.execute_script(
        "const found = {}; for (const e of document.body.querySelectorAll('*')) {"
        " if (![...e.childNodes].some(n => n.nodeType == 3 && n.data.trim())) continue;"
        " let b = e; const clear = 'rgba(0, 0, 0, 0)';"
        " while (b && getComputedStyle(b).backgroundColor == clear) b = b.parentElement;"
        " found[getComputedStyle(e).color + '|' + getComputedStyle(b).backgroundColor] = e.tagName;"
        "} return found"
    )
    assert len(pairs) > 2
    for pair, tag in pairs.items():
        front, back = (luminance(colour) for colour in pair.split("|"))
        assert (max(front, back) + 0.05) / (min(front, back) + 0.05) >= 4.5, (tag, pair)


def luminance(colour):
    """Relative luminance of ``rgb(r, g, b)`` (WCAG 2)."""
    parts = [int(part) / 255 for part in colour.removeprefix("rgb(").rstrip(")").split(",")]
    linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
