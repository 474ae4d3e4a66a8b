"""The server's page in a browser, with titles that try to be HTML, scripts and formulas."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn

from experiments.faults.bench import hostile_texts
from m6rec_lite.serving import EventStore, Limits, RecommendationService, create_app
from tests.browser import BROWSER, opened_tab, wait_for
from tests.serving.models import ITEMS, LOG, saved

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine"),
]
pytest.importorskip("websocket", reason="needs websocket-client")

SEARCH = """
by("text").value = "z";
by("search").requestSubmit();
"""


@contextmanager
def served(folder: Path, titles: list[str]) -> Iterator[str]:
    """The address of a server in this process whose items have these titles."""
    events = EventStore()
    events.add_frame(LOG)
    items = ITEMS.assign(title=titles)
    service = RecommendationService(saved(folder), events=events, items=items)
    app = create_app(service, limits=Limits(rate=1e6, burst=10**6))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        wait_for(lambda: server.started)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(20)


@pytest.mark.parametrize("seed", range(3))
def test_hostile_titles_stay_text(tmp_path: Path, seed: int) -> None:
    titles = [f"{text}<img src=x onerror=alert({i})>z{i}" for i, text in
              enumerate(hostile_texts(len(ITEMS), seed))]  # fmt: skip
    with served(tmp_path, titles) as address, opened_tab(tmp_path / "profile") as tab:
        for domain in ("Page", "Runtime", "Log"):
            tab.call(f"{domain}.enable")
        tab.open(address)
        tab.evaluate(SEARCH)
        wait_for(lambda: tab.evaluate(f"by('found').children.length === {len(titles)}"))
        for _ in range(2):
            tab.evaluate("document.querySelector('#found button').click()")
        wait_for(lambda: tab.evaluate("by('picked').children.length === 1"))
        tab.evaluate("by('ask').click()")
        wait_for(lambda: tab.evaluate("by('list').children.length > 1"))

        shown = tab.evaluate("[...by('found').children].map(row => row.firstChild.data)")
        assert shown == [f"{title} " for title in titles]
        listed = tab.evaluate("[...by('list').children].map(row => row.firstChild.data)")
        assert set(listed) <= set(titles)
        labels = "[...by('found').querySelectorAll('button')].map(b => b.ariaLabel)"
        assert tab.evaluate(labels) == [f"Add {title}" for title in titles]
        names = "[...new Set([...document.querySelectorAll('main ul *, main ol *')].map(e => "
        assert set(tab.evaluate(f"{names}e.tagName))]")) == {"LI", "BUTTON", "SPAN"}
        methods = {event["method"] for event in tab.events}
        assert not methods & {"Page.javascriptDialogOpening", "Runtime.exceptionThrown"}
