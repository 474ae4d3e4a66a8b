"""A saved model and its world that the tests of ``serving`` share, made once a process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
from fastapi import FastAPI

from m6rec_lite.data import Interactions
from m6rec_lite.recommenders import Markov
from m6rec_lite.serving import EventStore, Query, RecommendationService

#: Users 1 to 4 and six items, whose titles try to be HTML.
LOG = pd.DataFrame(
    [(1, 10), (1, 20), (1, 30), (2, 10), (2, 20), (2, 40), (3, 20), (3, 30), (3, 50), (4, 60)],
    columns=["user_id", "item_id"],
).assign(timestamp=range(100, 110), event="click")
ITEMS = pd.DataFrame(
    {
        "item_id": range(10, 70, 10),
        "title": [f"<b>Title</b> {n} & Söhne" for n in range(10, 70, 10)],
    }
)


def saved(folder: Path, **settings: Any) -> Path:
    """A Markov model of ``LOG``; a model of other settings has another version."""
    train = Interactions.from_frame(LOG)
    return Markov(**settings).fit(train, progress=False).save(folder / "model")


def service(folder: Path, **options: Any) -> RecommendationService:
    events = EventStore()
    events.add_frame(LOG)
    return RecommendationService(saved(folder), events=events, items=ITEMS, **options)


def ask(app: FastAPI, talk: Callable[[httpx.AsyncClient], Awaitable[Any]]) -> Any:
    """Run a coroutine with a client of the application, in this process."""

    async def run() -> Any:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            try:
                return await talk(client)
            finally:
                await app.state.batcher.close()

    return asyncio.run(run())


def ids(answer: Any) -> list[Any]:
    return [item["item_id"] for item in answer.json()["items"]]


USERS = [Query(user) for user in (1, 2, 3, 4)]
