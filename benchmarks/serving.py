"""Latency, throughput and memory of the server, under a bounded load from this machine.

A server process is started on the loopback address with a model of a random log. Clients send
requests one after another, each as soon as its last is answered, for several numbers of clients;
then 10,000 requests run while the server's memory is read. Batching is compared with batches of one
in the same process, on the same queries. The load stops by itself.

    python benchmarks/serving.py [--items 2000] [--users 5000] [--requests 2000] [--model SASRec]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import psutil

from m6rec_lite import recommenders
from m6rec_lite.data import Interactions
from m6rec_lite.evaluation.costs import resident_mib
from m6rec_lite.serving import EventStore, Query, RecommendationService

CLIENTS = (1, 8, 32)


def main() -> None:
    """Run the benchmark; the last line printed is one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=2000)
    parser.add_argument("--users", type=int, default=5000)
    parser.add_argument("--requests", type=int, default=2000, help="of each number of clients")
    parser.add_argument("--long", type=int, default=10_000, help="requests for the memory")
    parser.add_argument("--model", choices=("EASE", "SASRec"), default="SASRec")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        log = random_log(options.users, options.items)
        model = getattr(recommenders, options.model)()
        if options.model == "SASRec":
            model.set_params(epochs=1, max_length=50)
        model.fit(Interactions.from_frame(log), progress=False).save(path / "model")
        gain = batching_gain(path, log, options.requests)
        process, address = start(path, log)
        try:
            result = asyncio.run(load(address, process.pid, options))
        finally:
            process.terminate()
            process.wait()
    result |= {"name": f"{options.model} with {options.items:,} items over HTTP", **gain}
    print(json.dumps(result))


def random_log(users: int, items: int) -> pd.DataFrame:
    """Return twenty events of each user, with popular items."""
    draws = np.random.default_rng(0)
    popularity = 1 / np.arange(1, items + 1)
    chosen = draws.choice(items, size=users * 20, p=popularity / popularity.sum())
    user = np.repeat(np.arange(users), 20)
    log = pd.DataFrame({"user_id": user, "item_id": chosen, "timestamp": np.arange(len(user))})
    return log.drop_duplicates(["user_id", "item_id"]).assign(event="click")


def batching_gain(path: Path, log: pd.DataFrame, n: int) -> dict[str, float]:
    """Return queries a second in process, one by one and in batches of 64, and their ratio."""
    events = EventStore()
    events.add_frame(log)
    service = RecommendationService(path / "model", events=events)
    queries = [Query(int(user)) for user in np.random.default_rng(1).integers(0, 1000, n)]
    service.recommend(queries[:64])
    rates = {}
    for size in (1, 64):
        start = time.perf_counter()
        for first in range(0, n, size):
            service.recommend(queries[first : first + size])
        rates[size] = n / (time.perf_counter() - start)
    print(f"in process: {rates[1]:,.0f} queries/s one by one, {rates[64]:,.0f} in batches of 64")
    return {"ours": round(rates[64]), "peer": round(rates[1]), "ratio": rates[64] / rates[1]}


def start(path: Path, log: pd.DataFrame) -> tuple[subprocess.Popen[bytes], str]:
    """Start the server and wait until it answers."""
    data = path / "data"
    data.mkdir()
    log.to_csv(data / "interactions.csv", index=False)
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = str(found.getsockname()[1])
    command = [sys.executable, "-m", "m6rec_lite.serving", str(path / "model"), "--port", port]
    command += ["--data", str(data), "--rate", "1000000", "--timeout", "60"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, env=os.environ)
    address = f"http://127.0.0.1:{port}"
    for _ in range(1200):
        try:
            httpx.get(f"{address}/healthz")
            return process, address
        except httpx.TransportError:
            time.sleep(0.1)
    raise SystemExit("the server did not start")


async def load(address: str, pid: int, options: argparse.Namespace) -> dict[str, Any]:
    """Send the load; return percentiles in milliseconds, requests a second, and MiB."""
    result: dict[str, Any] = {}
    for clients in CLIENTS:
        seconds, wall = await ask(address, clients, options.requests)
        p50, p95, p99 = np.percentile(1000 * seconds, [50, 95, 99]).round(2).tolist()
        rate = round(len(seconds) / wall)
        print(f"{clients} clients: p50 {p50} ms, p95 {p95} ms, p99 {p99} ms, {rate} requests/s")
        result |= {f"p50/p95/p99 ms, {clients} clients": [p50, p95, p99]}
        result |= {f"requests/s, {clients} clients": rate}
    memory = [resident_mib(psutil.Process(pid))]
    for _ in range(5):
        await ask(address, CLIENTS[1], options.long // 5)
        memory.append(resident_mib(psutil.Process(pid)))
    print(f"MiB over {options.long:,} requests: {[round(value) for value in memory]}")
    return result | {"MiB": [round(value, 1) for value in memory], "unit": "requests/s"}


async def ask(address: str, clients: int, n: int) -> tuple[np.ndarray, float]:
    """Return the seconds of each of ``n`` requests of several clients, and of all together."""
    seconds: list[float] = []
    users = iter(np.random.default_rng(2).integers(0, 1000, n).tolist())

    async def one(client: httpx.AsyncClient) -> None:
        for user in users:
            start = time.perf_counter()
            answer = await client.post("/recommend", json={"user": user})
            answer.raise_for_status()
            seconds.append(time.perf_counter() - start)

    limits = httpx.Limits(max_connections=clients)
    async with httpx.AsyncClient(base_url=address, timeout=60, limits=limits) as client:
        start = time.perf_counter()
        await asyncio.gather(*(one(client) for _ in range(clients)))
        return np.array(seconds), time.perf_counter() - start


if __name__ == "__main__":
    main()
