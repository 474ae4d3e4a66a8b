"""The server as a process: stopped, killed, under load, in a browser, fuzzed."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from m6rec_lite.recommenders import Recommender
from m6rec_lite.serving import Limits, create_app
from tests.browser import BROWSER, opened_tab, wait_for
from tests.serving.models import ITEMS, LOG, saved, service

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def running(folder: Path, **environment: str):
    """A server on a free port of this machine: its process and its address."""
    data = folder / "data"
    data.mkdir(exist_ok=True)
    LOG.to_csv(data / "interactions.csv", index=False)
    ITEMS.to_csv(data / "items.csv", index=False)
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    command = [sys.executable, "-m", "m6rec_lite.serving", str(folder / "model")]
    command += ["--port", str(port), "--data", str(data), "--rate", "5000", "--timeout", "60"]
    process = subprocess.Popen(
        command, cwd=ROOT, env=os.environ | environment,
        stdout=subprocess.DEVNULL, stderr=(folder / "log").open("w"),
    )  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(1200):
            assert process.poll() is None, (folder / "log").read_text()
            try:
                httpx.get(f"{address}/healthz")
                break
            except httpx.TransportError:
                time.sleep(0.1)
        yield process, address
    finally:
        process.kill()
        process.wait()


def test_killed_and_started_again_it_has_every_event_that_it_confirmed(tmp_path) -> None:
    saved(tmp_path)
    with running(tmp_path) as (process, address), httpx.Client(base_url=address) as client:
        for n in range(20):
            event = {"user": 7, "item_id": 10 * (1 + n % 2), "timestamp": n}
            assert client.post("/events", json=event).json() == {"is_new": True}
        before = client.post("/recommend", json={"user": 7}).json()
        process.send_signal(signal.SIGKILL)
        process.wait()
    with running(tmp_path) as (process, address), httpx.Client(base_url=address) as client:
        assert client.post("/events", json=event).json() == {"is_new": False}
        assert client.post("/recommend", json={"user": 7}).json() == before
        ours = Recommender.load(tmp_path / "model")
        assert before["items"][0]["item_id"] in ours.item_ids


def test_a_stopped_server_answers_what_it_has_accepted_and_logs_no_key(tmp_path) -> None:
    saved(tmp_path)
    body = b'{"user": 1}'
    head = "POST /recommend HTTP/1.1\r\nHost: test\r\nX-API-Key: top secret\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    head += "Expect: 100-continue\r\nConnection: close\r\n\r\n"
    with running(tmp_path, M6REC_API_KEYS="top secret,b") as (process, address):
        place = ("127.0.0.1", int(address.rpartition(":")[2]))
        with socket.create_connection(place, timeout=60) as connection:
            connection.sendall(head.encode())
            assert b"100 Continue" in connection.recv(1000)  # the request is accepted
            process.send_signal(signal.SIGTERM)
            for _ in range(600):
                try:  # until the server takes no new connection
                    socket.create_connection(place).close()
                    time.sleep(0.1)
                except OSError:
                    break
            connection.sendall(body)
            assert connection.recv(1000).startswith(b"HTTP/1.1 200")
        assert process.wait(60) in (0, -signal.SIGTERM)  # uvicorn raises the signal at its end
    log = (tmp_path / "log").read_text()
    assert "POST /recommend 200" in log
    assert "secret" not in log


def test_ten_thousand_requests_leave_no_objects_behind(tmp_path) -> None:
    own = service(tmp_path)
    own.events.cached_users = 20
    app = create_app(own, limits=Limits(rate=1e6, burst=10**6, clients=10))

    async def many(client: httpx.AsyncClient, start: int, n: int) -> None:
        for first in range(start, start + n, 50):
            bodies = [{"user": user, "items": [10]} for user in range(first, first + 50)]
            answers = await asyncio.gather(*(client.post("/recommend", json=b) for b in bodies))
            assert {answer.status_code for answer in answers} == {200}

    async def run() -> tuple[int, int]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            await many(client, 0, 1500)  # the monitor's windows are full
            gc.collect()
            before = len(gc.get_objects())
            await many(client, 1500, 8500)
            gc.collect()
            after = len(gc.get_objects())
            await app.state.batcher.close()
            return before, after

    before, after = asyncio.run(run())
    assert after - before < 850  # a tenth of an object a request; a leak has one or more


def test_the_command_explains_what_is_wrong(tmp_path) -> None:
    command = [sys.executable, "-m", "m6rec_lite.serving", str(tmp_path / "none")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("error: no saved model at")
    assert "Traceback" not in done.stderr


@pytest.mark.browser
@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
def test_the_page_works_by_keyboard_and_shows_titles_as_text(tmp_path) -> None:
    saved(tmp_path)
    pytest.importorskip("websocket")
    with running(tmp_path) as (_, address), opened_tab(tmp_path / "profile") as tab:
        codes = {"Tab": 9, "Enter": 13}

        def until(script: str) -> None:
            wait_for(lambda: tab.evaluate(script))

        def focused() -> str:
            return tab.evaluate(
                "document.activeElement.getAttribute('aria-label') || "
                "document.activeElement.textContent || document.activeElement.id"
            )

        tab.call("Page.navigate", url=address)
        until("document.readyState === 'complete' && Boolean(document.getElementById('text'))")
        tab.press("Tab", codes["Tab"])
        assert focused() == "text"
        tab.call("Input.insertText", text="title")
        tab.press("Enter", codes["Enter"])
        until("document.querySelectorAll('#found li').length === 6")
        for _ in range(10):
            tab.press("Tab", codes["Tab"])
            if focused().startswith("Add"):
                break
        assert focused() == "Add <b>Title</b> 10 & Söhne"  # what a screen reader says
        tab.press("Enter", codes["Enter"])
        until("document.querySelectorAll('#picked li').length === 1")
        for _ in range(10):
            tab.press("Tab", codes["Tab"])
            if focused() == "Recommend":
                break
        tab.press("Enter", codes["Enter"])
        until("document.querySelectorAll('#list li').length > 1")
        assert focused() == "Recommended for you"
        assert tab.evaluate("document.querySelector('#list li').textContent").startswith(
            "<b>Title</b>"
        )
        assert tab.evaluate("document.querySelectorAll('main b').length") == 0
        reason = tab.evaluate("document.querySelector('#list .reason').textContent")
        assert reason == "because of <b>Title</b> 10 & Söhne"
        names = "[...document.querySelectorAll('input')].every(i => i.labels.length === 1)"
        assert tab.evaluate(names)
        assert tab.evaluate("performance.getEntriesByType('resource')"
                        ".every(r => r.name.startsWith(location.origin))")  # fmt: skip
        tree = tab.call("Accessibility.getFullAXTree")["nodes"]
        roles = {node["role"]["value"] for node in tree if not node["ignored"]}
        assert {"main", "search", "status", "heading", "list", "textbox"} <= roles


@pytest.mark.extra
def test_fuzzed_by_its_own_schema_it_never_fails(tmp_path) -> None:
    schemathesis = pytest.importorskip("schemathesis")
    from hypothesis import HealthCheck, given, settings

    app = create_app(service(tmp_path), admin_key="boss", limits=Limits(rate=1e6, burst=10**6))
    schema = schemathesis.openapi.from_asgi("/openapi.json", app)

    for operation in schema.get_all_operations():

        @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
        @given(case=operation.ok().as_strategy())
        def answers(case) -> None:
            assert case.call(headers={"X-API-Key": "boss"}).status_code < 500

        answers()
