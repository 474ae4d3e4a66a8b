"""``python -m m6rec_lite.serving MODEL``: serve a saved recommender over HTTP.

Keys come from the environment, so that no list of processes shows them: ``M6REC_API_KEYS``,
separated by commas, and ``M6REC_ADMIN_KEY`` for ``/reload``.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path

from m6rec_lite.data.load import load_dataset
from m6rec_lite.data.tables import DataError


def main(arguments: list[str] | None = None) -> int:
    """Run the server until SIGTERM or SIGINT; return the exit status (1 if it cannot start)."""
    parser = argparse.ArgumentParser(
        prog="python -m m6rec_lite.serving", description="Serve a saved recommender over HTTP."
    )
    parser.add_argument("model", metavar="MODEL", help="folder of Recommender.save, or of M6-Rec")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (this machine)")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument(
        "--data", help="data set: titles, events of an empty store; M6-Rec needs it"
    )
    parser.add_argument("--store", type=Path, help="SQLite file of events (MODEL.events.db)")
    parser.add_argument("--expect", metavar="VERSION", help="refuse a model of another version")
    parser.add_argument("--search", choices=("exact", "faiss", "usearch"), default="exact")
    parser.add_argument("--rate", type=float, default=50.0, help="requests a second of one client")
    parser.add_argument("--timeout", type=float, default=5.0, help="seconds until an answer")
    options = parser.parse_args(arguments)
    try:
        import uvicorn

        from m6rec_lite.serving.app import create_app
        from m6rec_lite.serving.guard import Limits, Redaction
    except ImportError as error:
        print(f"error: {error}; pip install 'm6rec-lite[serving]'", file=sys.stderr)
        return 1
    from m6rec_lite.serving.event_store import EventStore
    from m6rec_lite.serving.service import RecommendationService

    keys = [key for key in os.environ.get("M6REC_API_KEYS", "").split(",") if key]
    admin_key = os.environ.get("M6REC_ADMIN_KEY") or None
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    for handler in logging.getLogger().handlers:
        handler.addFilter(Redaction([*keys, admin_key or ""]))
    try:
        events = EventStore(options.store or f"{options.model.rstrip('/')}.events.db")
        dataset = None if options.data is None else load_dataset(options.data)
        if dataset is not None and len(events) == 0:
            events.add_frame(dataset.interactions)
        service = RecommendationService(
            options.model,
            events=events,
            items=None if dataset is None else dataset.items,
            dataset=dataset,
            expect=options.expect,
            search=options.search,
        )
    except (DataError, FileNotFoundError, ImportError, TypeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    logging.info("model %s; %d events", service.current.version, len(events))
    uvicorn.run(
        create_app(
            service,
            keys=keys,
            admin_key=admin_key,
            limits=Limits(rate=options.rate, burst=2 * int(options.rate), timeout=options.timeout),
        ),
        host=options.host,
        port=options.port,
        access_log=False,  # it would hold addresses; the guard logs without them
        log_config=None,  # all records pass the redaction above
        server_header=False,
        timeout_keep_alive=75,  # beyond the minute of most proxies: they close first, not we
        timeout_graceful_shutdown=30,
        limit_concurrency=2000,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
