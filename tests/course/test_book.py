"""The site in a real browser, from the file system: complete, offline, accessible.

Needs Chromium and the extra ``book``; skips without them.
"""

import urllib.parse

import pytest

from book.translations import COMPLETE
from m6rec_lite.course.widgets.experiments import EXPERIMENTS
from tests.book_site import (
    ALIKE,
    NAVIGATION,
    Links,
    audited,
    fault,
    opened,
    pages,
    violations,
)
from tests.browser import BROWSER, wait_for

#: With the fixtures `site` and `tab`.
pytest_plugins = ("tests.book_site",)
pytestmark = [
    pytest.mark.browser,
    pytest.mark.xdist_group("book"),
    pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine"),
]
for package in ("websocket", "myst_nb", "sphinx_book_theme", "axe_playwright_python"):
    pytest.importorskip(package, reason="needs the extra book")


def test_every_page_is_quiet_offline_and_accessible(site, tab):
    faults = {}
    for path in audited(site):
        found = opened(tab, path)
        if path.name != "index.html":
            found += violations(tab, excluded=[*ALIKE, *NAVIGATION])
        if found:
            faults[str(path.relative_to(site))] = found
    assert faults == {}


def test_every_other_chinese_page_is_quiet_and_offline(site, tab):
    complete = {site / "zh-CN" / f"{page}.html" for page in COMPLETE}
    others = [path for path in pages(site) if "zh-CN" in path.parts and path not in complete]
    assert len(others) > 80
    faults = {str(path.relative_to(site)): opened(tab, path) for path in others}
    assert {path: found for path, found in faults.items() if found} == {}


#: Focuses one visible element of each kind, and returns those that look the same as before.
UNSEEN = """
(() => {
  const still = document.createElement('style');
  still.textContent = '* { transition: none !important; animation: none !important; }';
  document.head.append(still);
  const shown = element => element.checkVisibility({visibilityProperty: true});
  const look = element => JSON.stringify([element, element.parentElement].map(part => {
    const style = getComputedStyle(part);
    return [style.outlineStyle === 'none' ? '' : style.outlineWidth + style.outlineStyle,
      style.boxShadow, style.borderColor, style.backgroundColor, style.color,
      style.textDecorationLine, style.textDecorationThickness];
  }));
  const kinds = new Map(), unseen = [];
  const interactive = 'a[href], button, input, select, textarea, summary, [tabindex="0"]';
  for (const element of document.querySelectorAll(interactive)) {
    const inside = element.closest('.bd-sidebar-primary') ? 'navigation' : '';
    const kind = [element, element.parentElement].map(e => e.tagName + e.className) + inside;
    if (!element.disabled && shown(element) && !kinds.has(kind)) kinds.set(kind, element);
  }
  for (const element of kinds.values()) {
    document.activeElement?.blur();
    const before = look(element);
    element.focus({preventScroll: true});
    if (document.activeElement !== element || look(element) === before)
      unseen.push(element.outerHTML.slice(0, 150));
  }
  return [kinds.size, unseen];
})()
"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_focus_can_be_seen_on_every_page(site, tab, theme):
    missing = {}
    for path in pages(site):
        if "zh-CN" in path.parts or path == site / "index.html":
            continue
        opened(tab, path, theme=theme)
        n_kinds, unseen = tab.evaluate(UNSEEN)
        assert n_kinds > 5, path
        if unseen:
            missing[str(path.relative_to(site))] = unseen
    assert missing == {}


def test_a_focus_that_cannot_be_seen_would_be_found(site, tab):
    opened(tab, site / "book" / "open_in.html")
    alike = ("outline", "box-shadow", "border", "background", "color", "text-decoration")
    style = "; ".join(f"{name}: initial !important" for name in alike)
    button = f'<button class="unseen" style="{style}">no focus</button>'
    tab.evaluate(f"document.querySelector('article').insertAdjacentHTML('beforeend', `{button}`)")
    (found,) = tab.evaluate(UNSEEN)[1]
    assert 'class="unseen"' in found


#: A lesson of each part of the course, beside lesson 00.
PARTS = ("03", "08", "13", "20", "27", "31")


@pytest.mark.parametrize("number", PARTS)
def test_a_lesson_of_each_part_is_accessible_in_the_dark(site, tab, number):
    (path,) = (site / "notebooks").glob(f"{number}_*.html")
    assert opened(tab, path, theme="dark") == []
    assert violations(tab, excluded=[*ALIKE, *NAVIGATION]) == []


def test_a_fault_would_be_seen(site, tab):
    opened(tab, site / "book" / "index.html")
    script = """
        const picture = document.createElement('img');
        picture.src = 'http://127.0.0.1:9/picture.png';
        document.querySelector('article').append(picture);
        console.error('wrong');
        new Promise(done => picture.onerror = done).then(() => true)
    """
    assert tab.evaluate(script)
    assert len(list(filter(None, map(fault, tab.events)))) >= 2
    assert any("image-alt" in found for found in violations(tab, excluded=NAVIGATION))


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(
    "page",
    [
        "book/index",
        "book/leaderboards",
        "book/try_it",
        "notebooks/00_welcome",
        "search",
        "genindex",
    ],
)
def test_a_page_of_each_kind_is_accessible_in_both_themes(site, tab, page, theme):
    assert opened(tab, site / f"{page}.html", theme=theme) == []
    assert tab.evaluate("document.documentElement.dataset.theme") == theme
    navigation = [] if page == "book/index" else NAVIGATION
    assert violations(tab, excluded=[*ALIKE, *navigation]) == []


def test_every_link_inside_the_site_leads_somewhere(site):
    links = {path: Links(path) for path in pages(site)}
    missing = []
    for path, page in links.items():
        for address in page.addresses:
            parts = urllib.parse.urlsplit(address)
            if parts.scheme or parts.netloc:
                continue
            where = (path.parent / urllib.parse.unquote(parts.path)) if parts.path else path
            where = where.resolve()
            known = links[where].ids if where in links else {parts.fragment}
            if not where.exists() or (parts.fragment and parts.fragment not in known):
                missing.append((str(path.relative_to(site)), address))
    assert missing == []


def test_every_picture_has_its_alternative_text(site):
    for path in pages(site):
        for source, text in Links(path).pictures:
            assert len(text or "") >= 5, (path.name, source, text)


def test_the_language_changes_on_the_same_page(site, tab):
    opened(tab, site / "notebooks" / "00_welcome.html")
    for language in ("zh-CN", "en"):
        link = f"document.querySelector('.languages a[lang={language}]').href"
        tab.open(tab.evaluate(link))
        assert tab.evaluate("document.documentElement.lang") == language
        assert tab.evaluate("document.querySelector('h1').textContent.startsWith('00 · ')")


def test_the_search_finds_a_lesson_from_the_file_system(site, tab):
    opened(tab, site / "search.html", query="?q=shrinkage")
    wait_for(lambda: tab.evaluate("document.querySelectorAll('#search-results li').length > 0"))
    found = tab.evaluate("document.querySelector('#search-results').textContent")
    assert "First recommenders" in found


def test_a_leaderboard_sorts_by_keyboard(site, tab):
    opened(tab, site / "book" / "leaderboards.html")
    tab.evaluate("document.querySelectorAll('table.sortable thead button')[3].focus()")
    rows = "[...document.querySelector('table.sortable').tBodies[0].rows]"
    column = f"{rows}.map(row => row.cells[3].textContent)"
    for order in ("ascending", "descending"):
        tab.press("Enter", 13)
        values = [float(text) for text in tab.evaluate(column)]
        assert values == sorted(values, reverse=order == "descending")
        heading = "document.activeElement.closest('th').getAttribute('aria-sort')"
        assert tab.evaluate(heading) == order


def test_the_meaning_of_a_term_shows_on_focus_and_hides_on_escape(site, tab):
    opened(tab, site / "notebooks" / "00_welcome.html")
    tab.evaluate("document.querySelector('a.term').focus()")
    box = "document.querySelector('a.term').nextSibling"
    assert tab.evaluate(f"!{box}.hidden && {box}.textContent.length > 4")
    tab.press("Escape", 27)
    assert tab.evaluate(f"{box}.hidden")


def test_tab_reaches_the_search_and_the_content_of_a_lesson(site, tab):
    opened(tab, site / "notebooks" / "00_welcome.html")
    reached = set()
    for _ in range(120):
        tab.press("Tab", 9)
        reached.add(
            tab.evaluate(
                "document.activeElement.closest('article') ? 'article' : "
                "document.activeElement.className"
            )
        )
    assert "article" in reached
    assert any("search" in name for name in reached)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_answers_the_keyboard(site, tab, name):
    opened(tab, site / "book" / "try_it.html")
    root = f"document.querySelector('.try-it[data-name={name}]')"
    before = tab.evaluate(f"{root}.querySelector('ol.bars').textContent")
    assert before
    tab.evaluate(f"{root}.querySelector('input[type=range]').focus()")
    for _ in range(3):
        tab.press("ArrowLeft", 37)
    assert tab.evaluate(f"{root}.querySelector('ol.bars').textContent") != before
    assert tab.evaluate(f"{root}.querySelector('[role=status]').textContent.length > 20")
