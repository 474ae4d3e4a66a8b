"""Experiments of ``course.try_it`` in a real browser, without a kernel and without a network.

Needs Chromium; skips without it.
"""

import re

import numpy as np
import pytest
import torch

from m6rec_lite.course.widgets.experiments import EXPERIMENTS
from m6rec_lite.course.widgets.output import experiment_html
from m6rec_lite.language import AddK, JelinekMercer, NGram
from m6rec_lite.nn import temperature, top_p
from m6rec_lite.trust import laplace_mechanism
from tests.browser import BROWSER, opened_tab
from tests.worlds import experiment_data

pytestmark = [
    pytest.mark.browser,
    pytest.mark.xdist_group("widgets"),
    pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine"),
]
pytest.importorskip("websocket", reason="needs websocket-client")

LIST = "document.querySelector('.try-it ol.bars')"
STATUS = "document.querySelector('.try-it [role=status]').textContent"


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    with opened_tab(tmp_path_factory.mktemp("browser") / "profile") as tab:
        for domain in ("Page", "Runtime", "Network"):
            tab.call(f"{domain}.enable")
        tab.call("Emulation.setFocusEmulationEnabled", enabled=True)
        yield tab


@pytest.fixture
def opened(tab, tmp_path):
    """Opens a page with the output of experiments alone; returns what else was requested."""

    def open_page(*names, language="en", scripts=True):
        outputs = "".join(experiment_html(name, experiment_data()[name])[0] for name in names)
        path = tmp_path / "page.html"
        head = '<meta charset="utf-8"><link rel="icon" href="data:,">'
        path.write_text(
            f'<!doctype html><html lang="{language}"><head>{head}</head><body>{outputs}</body>',
            encoding="utf-8",
        )
        tab.call("Emulation.setScriptExecutionDisabled", value=not scripts)
        tab.open(path.as_uri())
        assert not [e for e in tab.events if e["method"] == "Runtime.exceptionThrown"]
        asked = [e for e in tab.events if e["method"] == "Network.requestWillBeSent"]
        urls = [event["params"]["request"]["url"] for event in asked]
        return [url for url in urls if not url.startswith(("file:", "data:"))]

    yield open_page
    tab.call("Emulation.setScriptExecutionDisabled", value=False)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_a_control_moves_by_keyboard(tab, opened, name):
    assert opened(name) == []
    before = tab.evaluate(f"{LIST}.textContent")
    assert before
    assert tab.evaluate("document.querySelector('.still') === null")
    tab.evaluate("document.querySelector('.try-it input[type=range]').focus()")
    for _ in range(3):
        tab.press("ArrowLeft", 37)
    assert tab.evaluate(f"{LIST}.textContent") != before
    assert len(tab.evaluate(STATUS)) > 20


@pytest.mark.parametrize("name", [name for name in EXPERIMENTS if name != "privacy"])
def test_the_first_list_is_that_of_readers_without_javascript(tab, opened, name):
    """All but the noisy counts, which are drawn."""
    experiment = EXPERIMENTS[name]
    _, rows = experiment.still(experiment.prepare(experiment_data()[name]))
    opened(name)
    shown = f"[...{LIST}.children].map(row => [row.firstChild, row.lastChild])"
    listed = tab.evaluate(f"{shown}.map(parts => parts.map(part => part.textContent))")
    listed = [[row, "0.0 %" if value == "hidden" else value] for row, value in listed]
    assert listed == [list(row) for row in rows]


def test_without_javascript_a_table_is_shown(tab, opened):
    opened("decay", scripts=False)
    tab.call("Emulation.setScriptExecutionDisabled", value=False)
    document = tab.call("DOM.getDocument", depth=0)["root"]["nodeId"]
    table = tab.call("DOM.querySelector", nodeId=document, selector=".still table")["nodeId"]
    assert "item " in tab.call("DOM.getOuterHTML", nodeId=table)["outerHTML"]


def test_experiments_of_one_page_do_not_disturb_one_another(tab, opened):
    opened(*EXPERIMENTS, "decay")
    count = "document.querySelectorAll('.try-it ol.bars').length"
    assert tab.evaluate(count) == len(EXPERIMENTS) + 1
    lists = "[...document.querySelectorAll('.try-it ol.bars')].map(list => list.textContent)"
    before = tab.evaluate(lists)
    tab.evaluate("document.querySelector('.try-it input[type=range]').focus()")
    tab.press("ArrowLeft", 37)
    after = tab.evaluate(lists)
    assert [a != b for a, b in zip(before, after, strict=True)] == [True] + [False] * 5


def test_a_chinese_page_has_chinese_labels(tab, opened):
    opened("attention", language="zh-CN")
    assert re.search("[一-鿿]", tab.evaluate(STATUS))
    assert re.search("[一-鿿]", tab.evaluate("document.querySelector('.try-it').ariaLabel"))


@pytest.mark.parametrize("background", ["white", "rgb(17, 17, 17)"])
def test_bars_are_seen_on_light_and_dark_pages(tab, opened, background):
    """WCAG asks for a contrast of 3 to 1 of graphics; text has the colour of the page."""
    opened("attention")
    tab.evaluate(f"document.body.style.background = '{background}'")
    tab.evaluate("document.body.style.color = 'rgb(1, 2, 3)'")
    colours = tab.evaluate(
        "[document.body, ...document.querySelectorAll('.try-it .bar')]"
        ".map(part => getComputedStyle(part).backgroundColor)"
    )
    page, *bars = ([int(n) / 255 for n in re.findall(r"\d+", colour)[:3]] for colour in colours)
    for bar in bars:
        light, dark = sorted((luminance(bar), luminance(page)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) > 3
    texts = tab.evaluate(
        "[...document.querySelectorAll('.try-it li span, .try-it label, .try-it p')]"
        ".map(part => getComputedStyle(part).color)"
    )
    assert set(texts) == {"rgb(1, 2, 3)"}


def luminance(colour):
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


def test_the_formulas_are_those_of_the_package(tab, opened):
    opened("sampling")
    formulas = "document.querySelector('.try-it').formulas"
    logits = torch.tensor([[2.0, 1.0, 0.5, -1.0, -3.0]])
    warm = softmax_of(temperature(logits, 0.7))
    kept = softmax_of(top_p(temperature(logits, 0.7), 0.8))
    ours = tab.evaluate(f"{formulas}.softmax({logits[0].tolist()}, 0.7)")
    assert ours == pytest.approx(warm, abs=1e-6)
    assert tab.evaluate(f"{formulas}.nucleus({ours}, 0.8)") == pytest.approx(kept, abs=1e-6)

    text = [["a", "b", "a", "c"], ["a", "b"]]
    for smoothing, formula in (
        (AddK(0.3), "addK(2, 3, 0.3, SIZE)"),
        (JelinekMercer((1.0, 0.6)), "interpolated(2, 3, UNIGRAM, 0.6)"),
    ):
        model = NGram(2, smoothing, unknown=None).fit(text, progress=False)
        formula = formula.replace("SIZE", str(len(model.vocabulary)))
        formula = formula.replace("UNIGRAM", str(model.prob("b")))
        assert tab.evaluate(f"{formulas}.{formula}") == pytest.approx(model.prob("b", ["a"]))
    u = np.random.default_rng(0).random()
    noise = laplace_mechanism(0, sensitivity=1, epsilon=0.5, rng=np.random.default_rng(0))
    assert tab.evaluate(f"{formulas}.laplace(2, {u})") == pytest.approx(float(noise))
    assert tab.evaluate(f"{formulas}.decayed([[1, 0], [0, 2]], 0.5)") == [0.5, 2]


def softmax_of(logits):
    return torch.softmax(logits, dim=1)[0].tolist()
