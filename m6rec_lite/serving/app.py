"""The HTTP application: a ``RecommendationService`` behind FastAPI."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest

from m6rec_lite.data.ids import Id
from m6rec_lite.data.tables import DataError
from m6rec_lite.serving import schemas
from m6rec_lite.serving.batching import Batcher, Overloaded
from m6rec_lite.serving.guard import Guard, Limits
from m6rec_lite.serving.served_model import Answer, Query
from m6rec_lite.serving.service import RecommendationService

T = TypeVar("T")
PAGE = Path(__file__).with_name("page.html")
ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": schemas.Error} for status in (400, 401, 408, 413, 422, 429, 500, 503, 504)
}


def create_app(
    service: RecommendationService,
    *,
    keys: Collection[str] = (),
    admin_key: str | None = None,
    limits: Limits | None = None,
    max_batch: int = 64,
    max_wait: float = 0.002,
) -> FastAPI:
    """Return the application; ``m6rec_lite.serving.__main__`` runs it.

    The model is used by one thread, in which requests for recommendations form batches; events are
    stored by another.

    Args:
        service: what answers.
        keys: API keys; none lets everyone in who reaches the port.
        admin_key: key of ``/reload``; None answers 404 there.
        limits: of rate, size and time.
        max_batch: see ``Batcher``.
        max_wait: see ``Batcher``.
    """
    limits = limits or Limits()
    model_thread, event_thread = ThreadPoolExecutor(1), ThreadPoolExecutor(1)
    recommend = Batcher[Query, Answer](
        lambda queries: list(service.recommend(queries)),
        model_thread,
        max_batch=max_batch,
        max_wait=max_wait,
    )
    metrics = _Metrics(service, recommend)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await recommend.close()
        for executor in (model_thread, event_thread):
            executor.shutdown(wait=True)

    app = FastAPI(
        title="m6rec_lite", lifespan=lifespan, docs_url=None, redoc_url=None, responses=ERRORS
    )
    app.state.batcher = recommend

    async def run(executor: ThreadPoolExecutor | None, call: Callable[..., T], *args: Any) -> T:
        work = asyncio.get_running_loop().run_in_executor(executor, call, *args)
        return await asyncio.wait_for(work, limits.timeout)

    def as_items(ids: list[Id], scores: list[float]) -> list[schemas.Item]:
        pairs = zip(ids, scores, strict=True)
        return [schemas.Item(item_id=i, title=service.title(i), score=s) for i, s in pairs]

    @app.get("/", response_class=HTMLResponse, include_in_schema=False)
    async def page(request: Request) -> str:
        return PAGE.read_text(encoding="utf-8").replace("{nonce}", request.state.nonce)

    @app.get("/healthz")
    async def healthz() -> schemas.Health:
        release, report = service.release, service.drift.report()
        return schemas.Health(
            status="ok",
            model=service.current.version,
            canary=None if release is None else release.candidate.version,
            drift=report.index[report["alarm"].astype(bool)].tolist(),
        )

    @app.get("/metrics", response_class=Response)
    async def prometheus() -> Response:
        return Response(metrics.text(), media_type=CONTENT_TYPE_LATEST)

    @app.post("/recommend")
    async def recommendations(body: schemas.Recommend) -> schemas.Recommendations:
        query = Query(body.user, tuple(body.items), body.k)
        answer = await asyncio.wait_for(recommend(query), limits.timeout)
        items = as_items(answer.item_ids, answer.scores)
        return schemas.Recommendations(items=items, model=answer.model)

    @app.post("/similar")
    async def similar(body: schemas.Similar) -> schemas.Recommendations:
        answer = await run(model_thread, service.similar, body.item_id, body.k)
        items = as_items(answer.item_ids, answer.scores)
        return schemas.Recommendations(items=items, model=answer.model)

    @app.post("/explain")
    async def explain(body: schemas.Explain) -> schemas.Reasons:
        query = Query(body.user, tuple(body.items))
        reasons = await run(model_thread, service.explain, query, body.item_ids)
        return schemas.Reasons(reasons=[as_items(r.because, r.effects) for r in reasons])

    @app.post("/items")
    async def find(body: schemas.Find) -> list[schemas.Item]:
        ids = await run(None, service.find, body.text)
        return as_items(ids, [0.0] * len(ids))

    @app.post("/events")
    async def events(body: schemas.Event) -> schemas.Stored:
        arguments = (body.user, body.item_id, body.timestamp, body.event)
        return schemas.Stored(is_new=await run(event_thread, service.add_event, *arguments))

    if admin_key is not None:

        @app.post("/reload")
        async def reload(body: schemas.Reload) -> schemas.Health:
            # The old model goes on answering while the new one is read.
            served = await asyncio.to_thread(service.load_new, expect=body.expect)
            service.replace(served, share=body.share)
            return await healthz()

    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(DataError, lambda _, error: _error(422, str(error)))
    app.add_exception_handler(Overloaded, lambda _, error: _error(503, f"{error}; try later"))
    late = f"no answer within {limits.timeout:g} s; try later, or ask for less"
    app.add_exception_handler(TimeoutError, lambda _, error: _error(504, late))
    app.add_exception_handler(404, lambda _, error: _error(404, "there is no such path"))
    app.add_exception_handler(405, lambda _, error: _error(405, "the path has another method"))
    app.add_middleware(
        Guard,
        keys=keys,
        admin_key=admin_key,
        limits=limits,
        registry=metrics.registry,
        paths=[route.path for route in app.routes if hasattr(route, "path")],
    )
    return app


def _error(status: int, message: str) -> JSONResponse:
    return JSONResponse({"error": message}, status)


def _invalid(request: Request, error: Exception) -> JSONResponse:
    """Say which field is wrong and why, without repeating what was sent."""
    assert isinstance(error, RequestValidationError)
    faults = [f"{'.'.join(map(str, e['loc'][1:]))}: {e['msg']}" for e in error.errors()[:5]]
    return _error(422, "; ".join(faults))


class _Metrics:
    """Gauges of a service, read when Prometheus asks."""

    def __init__(self, service: RecommendationService, batcher: Batcher[Query, Answer]) -> None:
        self.service, self.batcher, self.registry = service, batcher, CollectorRegistry()

        def gauge(name: str, text: str, value: Callable[[], float]) -> None:
            Gauge(name, text, registry=self.registry).set_function(value)

        events = service.events
        gauge("history_cache_hits", "Histories found in the cache.", lambda: events.hits)
        gauge("history_cache_misses", "Histories read from the file.", lambda: events.misses)
        gauge("batch_size", "Mean size of the latest batches.", batcher.mean_size)
        self.model = Gauge("model", "1 for the model in use.", ["version"], registry=self.registry)
        self.psi = Gauge("drift_psi", "Drift of a signal.", ["signal"], registry=self.registry)
        self.alarm = Gauge("drift_alarm", "1 if it drifts.", ["signal"], registry=self.registry)

    def text(self) -> bytes:
        """Return all metrics in the text format of Prometheus."""
        self.model.clear()
        self.model.labels(self.service.current.version).set(1)
        for name, row in self.service.drift.report().iterrows():
            self.psi.labels(name).set(row["psi"])
            self.alarm.labels(name).set(row["alarm"])
        return generate_latest(self.registry)
