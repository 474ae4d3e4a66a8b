"""The built site in a browser, and faults of its pages: for ``tests/course/test_book.py``."""

import html.parser
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from book.translations import COMPLETE
from tests.browser import opened_tab

ROOT = Path(__file__).resolve().parents[1]
SITE = ROOT / "build" / "book"
#: The package that has axe, which is not part of the site.
AXE = "axe_playwright_python"

#: Rows like those above them, which would take minutes; and the navigation, which is audited once.
ALIKE = ["table.sortable tbody tr:nth-child(n+4)", "dl.glossary > *:nth-child(n+40)"]
ALIKE += ["table.indextable li:nth-child(n+4)"]
NAVIGATION = [".bd-sidebar-primary"]

AUDIT = """
(async () => {
  const options = {preload: false, resultTypes: ['violations']};
  const all = await axe.run({include: document, exclude: EXCLUDED}, options);
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


@pytest.fixture(scope="session")
def site():
    """The site, built anew where something changed; a warning is an error."""
    command = [sys.executable, "-m", "book.build", "--languages", "en", "zh_CN"]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout[-3000:] + built.stderr[-3000:]
    return SITE


@pytest.fixture(scope="session")
def tab(site, tmp_path_factory):
    with opened_tab(tmp_path_factory.mktemp("browser") / "profile") as tab:
        for domain in ("Page", "Runtime", "Log", "Network"):
            tab.call(f"{domain}.enable")
        tab.call("Emulation.setFocusEmulationEnabled", enabled=True)
        yield tab


def pages(site):
    found = sorted(site.rglob("*.html"))
    return [path for path in found if not {"_static", "_downloads"} & set(path.parts)]


def audited(site):
    """All English pages, and those whose Chinese is complete."""
    chinese = [site / "zh-CN" / f"{page}.html" for page in COMPLETE]
    return [*(path for path in pages(site) if "zh-CN" not in path.parts), *chinese]


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


def violations(tab, *, excluded):
    """What axe finds on the page that is open: rules, each with some elements."""
    present = [one for one in excluded if tab.evaluate(f"!!document.querySelector('{one}')")]
    axe = Path(importlib.util.find_spec(AXE).origin).with_name("axe.min.js")
    tab.evaluate(axe.read_text(encoding="utf-8") + ";0")
    found = json.loads(tab.evaluate(AUDIT.replace("EXCLUDED", json.dumps([[e] for e in present]))))
    return [f"axe: {rule} {elements}" for rule, elements in found]
