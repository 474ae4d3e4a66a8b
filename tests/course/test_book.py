"""The site in a real browser, from the file system: complete, offline, accessible.

Needs Chromium and the extra ``book``; skips without them.
"""

import html.parser
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.browser import BROWSER, opened_tab

pytestmark = [
    pytest.mark.browser,
    pytest.mark.xdist_group("book"),
    pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine"),
]
for package in ("websocket", "myst_nb", "sphinx_book_theme", "axe_playwright_python"):
    pytest.importorskip(package, reason="needs the extra book")

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "build" / "book"
#: Scripts and data of the packages; axe is not part of the site.
AXE = Path(importlib.util.find_spec("axe_playwright_python").origin).parent / "axe.min.js"

SCHEME = {"name": "prefers-color-scheme"}

AUDIT = """
(async () => {
  const all = await axe.run(document, {preload: false, resultTypes: ['violations']});
  return JSON.stringify(all.violations.map(found => [
    found.id, found.nodes.slice(0, 3).map(node => node.html.slice(0, 200))]));
})()
"""


class Links(html.parser.HTMLParser):
    """Ids and addresses of a page."""

    def __init__(self, path):
        super().__init__()
        self.ids, self.addresses, self.pictures = set(), set(), []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.ids.add(values.get("id"))
        if tag == "img":
            self.pictures.append((values.get("src"), values.get("alt")))
        for name in ("href", "src"):
            if values.get(name):
                self.addresses.add(values[name])


@pytest.fixture(scope="module")
def site():
    """The site, built anew where something changed; a warning is an error."""
    command = [sys.executable, "-m", "book.build"]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout[-3000:] + built.stderr[-3000:]
    return SITE


@pytest.fixture(scope="module")
def tab(site, tmp_path_factory):
    with opened_tab(tmp_path_factory.mktemp("browser") / "profile") as tab:
        for domain in ("Page", "Runtime", "Log", "Network"):
            tab.call(f"{domain}.enable")
        yield tab


def pages(site):
    found = sorted(site.rglob("*.html"))
    return [path for path in found if not {"_static", "_downloads"} & set(path.parts)]


def opened(tab, path, *, theme="light", query=""):
    """Open a page, and return what went wrong while it was loaded."""
    tab.call(
        "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}]
    )
    tab.open(path.as_uri() + query)
    return list(filter(None, map(fault, tab.events)))


def fault(event):
    """An error on the console, or a request to somewhere else."""
    method, values = event.get("method"), event.get("params", {})
    if method == "Network.requestWillBeSent":
        url = values["request"]["url"]
        return None if url.startswith(("file:", "data:", "blob:")) else f"request of {url}"
    if method == "Runtime.exceptionThrown":
        return str(values["exceptionDetails"])
    if method == "Runtime.consoleAPICalled" and values["type"] in ("error", "warning"):
        return str(values["args"])
    if method == "Log.entryAdded" and values["entry"]["level"] == "error":
        return values["entry"]["text"] + values["entry"].get("url", "")
    return None


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_page_is_quiet_offline_and_accessible(site, tab, theme):
    axe, faults = AXE.read_text(encoding="utf-8"), {}
    for path in pages(site):
        found = opened(tab, path, theme=theme)
        tab.evaluate(axe + ";0")
        found += [f"axe: {name} {where}" for name, where in json.loads(tab.evaluate(AUDIT))]
        if found:
            faults[str(path.relative_to(site))] = found
    assert faults == {}
