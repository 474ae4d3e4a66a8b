"""Over HTTP: the same answers as in process, clear errors, limits, a new model while asked."""

from __future__ import annotations

import asyncio
import logging
import time

import httpx
import pytest

from m6rec_lite.data import Histories, Interactions
from m6rec_lite.recommenders import EASE, Markov, Recommender
from m6rec_lite.serving import Limits, Query, Redaction, create_app, has_key
from m6rec_lite.trust import deletion
from tests.serving.models import LOG, USERS, ask, ids, saved, service

KEY = {"X-API-Key": "a key"}


def test_http_and_process_and_package_answer_alike(tmp_path) -> None:
    own = service(tmp_path)
    model = Recommender.load(tmp_path / "model")
    lists = model.recommend(Interactions.from_frame(LOG).histories(), 3)
    wanted = [part["item_id"].tolist() for _, part in lists.groupby("user_id")]
    assert [
        answer.item_ids for answer in own.recommend([Query(u.user, k=3) for u in USERS])
    ] == wanted

    async def talk(client):
        return await asyncio.gather(
            *(client.post("/recommend", json={"user": u, "k": 3}) for u in (1, 2, 3, 4)),
            client.post("/recommend", json={"items": [10, 20], "k": 3}),
            client.post("/similar", json={"item_id": 20, "k": 2}),
        )

    *users, new, similar = ask(create_app(own), talk)
    assert [ids(answer) for answer in users] == wanted
    history = Histories.from_lists([[10, 20]], model.item_ids)
    assert ids(new) == model.recommend(history, 3)["item_id"].tolist()
    assert ids(similar) == model.similar_items(20, 2)["item_id"].tolist()
    assert new.json()["items"][0]["title"].startswith("<b>Title</b>")


def test_a_batch_of_different_queries_answers_as_one_by_one(tmp_path) -> None:
    own = service(tmp_path)
    queries = [*USERS, Query(items=(10,), k=2), Query(1, (40,), k=1), Query(), Query(99)]
    together = own.recommend(queries)
    assert together == [own.recommend([query])[0] for query in queries]
    assert together[-1] == together[-2]  # an unknown user is a new user: ids tell nothing


def test_reasons_are_the_events_whose_deletion_lowers_the_score(tmp_path) -> None:
    own = service(tmp_path)
    model = EASE().fit(Interactions.from_frame(LOG), progress=False)
    model.save(tmp_path / "model")
    own.replace(own.load_new())
    history = Histories.from_lists([[10, 20, 50]], model.item_ids)
    effects = deletion(model, history, model.item_ids.searchsorted([30]), log_softmax=False)
    (reason,) = own.explain(Query(items=(10, 20, 50)), [30])
    best = effects.argmax()
    assert (reason.because[0], reason.effects[0]) == (
        [10, 20, 50][best],
        pytest.approx(max(effects)),
    )
    assert own.explain(Query(items=(10,)), [30])[0].because == [10]
    assert own.explain(Query(), [30])[0].because == []


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("/recommend", {"items": [11]}, "unknown item: [11]"),
        ("/recommend", {"items": ["10"]}, "one side holds whole numbers"),
        ("/recommend", {"user": 1, "k": 0}, "k: Input should be greater than or equal to 1"),
        ("/recommend", {"user": 1, "kk": 3}, "kk: Extra inputs are not permitted"),
        ("/similar", {"item_id": 11}, "11"),
        ("/explain", {"items": [10, 20], "item_ids": [11]}, "11"),
        ("/events", {"user": 1, "item_id": 11, "timestamp": 5}, "11"),
        ("/events", {"user": "1", "item_id": 10, "timestamp": 5}, "user_id"),
        ("/events", {"user": 1, "item_id": 10, "timestamp": -5}, "timestamp"),
    ],
)
def test_a_faulty_request_gets_422_and_the_reason(path, body, message, tmp_path) -> None:
    answer = ask(create_app(service(tmp_path)), lambda client: client.post(path, json=body))
    assert answer.status_code == 422
    assert message in answer.json()["error"]


def test_a_faulty_query_does_not_spoil_its_batch(tmp_path) -> None:
    async def talk(client):
        bodies = ({"items": [10]}, {"items": [11]}, {"items": [20]})
        return await asyncio.gather(*(client.post("/recommend", json=b) for b in bodies))

    answers = ask(create_app(service(tmp_path), max_wait=0.05), talk)
    assert [answer.status_code for answer in answers] == [200, 422, 200]


def test_an_event_changes_the_next_answer_and_counts_once(tmp_path) -> None:
    async def talk(client):
        event = {"user": 4, "item_id": 10, "timestamp": 999}
        before = ids(await client.post("/recommend", json={"user": 4}))
        stored = [(await client.post("/events", json=event)).json()["is_new"] for _ in range(2)]
        return before, stored, ids(await client.post("/recommend", json={"user": 4}))

    before, stored, after = ask(create_app(service(tmp_path)), talk)
    assert stored == [True, False]
    assert 10 in before
    assert 10 not in after


def test_a_new_model_replaces_the_old_one_and_no_request_is_lost(tmp_path) -> None:
    own = service(tmp_path)
    old = own.current.version
    app = create_app(own, admin_key="boss", limits=Limits(rate=1e6, burst=10**6))

    async def talk(client):
        changed = None

        async def many():
            answers, after = [], 0
            while after < 5:  # requests before, during and after the change
                after += changed is not None
                answers.append(await client.post("/recommend", json={"user": 1}))
                await asyncio.sleep(0.001)
            return answers

        asked = [asyncio.create_task(many()) for _ in range(4)]
        await asyncio.sleep(0.02)
        saved(tmp_path, decay=0.5)
        changed = await client.post("/reload", json={}, headers={"X-API-Key": "boss"})
        return changed, [answer for part in await asyncio.gather(*asked) for answer in part]

    changed, answers = ask(app, talk)
    assert changed.status_code == 200
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.json()["model"] for answer in answers} == {old, own.current.version}
    assert own.current.version != old


def test_only_the_operator_reloads_and_a_damaged_model_changes_nothing(tmp_path) -> None:
    own = service(tmp_path)
    old = own.current.version

    async def talk(client):
        boss = {"X-API-Key": "boss"}
        without = await client.post("/reload", json={}, headers=KEY)
        wrong = await client.post("/reload", json={"expect": "another"}, headers=boss)
        (tmp_path / "model" / "arrays.npz").write_bytes(b"damaged")
        damaged = await client.post("/reload", json={}, headers=boss)
        return without, wrong, damaged, await client.post("/recommend", json={}, headers=KEY)

    without, wrong, damaged, answer = ask(create_app(own, keys=["a key"], admin_key="boss"), talk)
    assert [r.status_code for r in (without, wrong, damaged, answer)] == [401, 422, 422, 200]
    assert "expected another" in wrong.json()["error"]
    assert "arrays.npz is damaged" in damaged.json()["error"]
    assert own.current.version == old
    hidden = create_app(service(tmp_path / "other"))
    assert ask(hidden, lambda client: client.post("/reload", json={})).status_code == 404


def test_a_worse_canary_is_removed_by_what_its_users_do(tmp_path) -> None:
    own = service(tmp_path)
    saved(tmp_path, decay=0.5)
    own.replace(own.load_new(), share=0.5)
    assert own.release is not None
    candidate = own.release.candidate
    candidate.rank = lambda histories, k: (  # recommends one item, whatever the history
        candidate.item_ids.searchsorted([60] * len(histories))[:, None],
        1.0 * (histories.lengths[:, None] >= 0),
    )
    users = range(1000, 1080)
    for user in users:
        own.add_event(user, 10, 1)
        (answer,) = own.recommend([Query(user, k=2)])
        assert (answer.model == candidate.version) == (answer.item_ids == [60])
        own.add_event(user, 20, 2)
    assert own.release is None
    assert {own.recommend([Query(user)])[0].model for user in users} == {own.current.version}


def test_keys_limits_and_headers(tmp_path) -> None:
    limits = Limits(rate=0.001, burst=3, max_body=100)
    app = create_app(service(tmp_path), keys=["a key", "b"], limits=limits)

    async def chunks():
        for _ in range(20):
            yield b" " * 10

    async def talk(client):
        return [
            await client.post("/recommend", json={}),
            await client.post("/recommend", json={}, headers={"X-API-Key": "wrong"}),
            await client.post("/recommend", content=b" " * 200, headers=KEY),
            await client.post("/recommend", content=chunks(), headers=KEY),
            await client.post("/recommend", json={}, headers=KEY),
            await client.post("/recommend", json={}, headers=KEY),
            await client.get("/"),
        ]

    answers = ask(app, talk)
    assert [answer.status_code for answer in answers] == [401, 401, 413, 413, 200, 429, 200]
    assert int(answers[5].headers["retry-after"]) >= 1
    assert all("x-request-id" in answer.headers for answer in answers)
    policy = answers[-1].headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert policy.split("nonce-")[1].split("'")[0] in answers[-1].text
    assert has_key("a key", ["b", "a key"])
    assert not has_key("a ke", ["b", "a key"])
    assert not has_key("", [])


def test_an_answer_that_takes_too_long_is_given_up(tmp_path) -> None:
    own = service(tmp_path)
    own.similar = lambda item, k: time.sleep(0.3)
    app = create_app(own, limits=Limits(timeout=0.05))
    answer = ask(app, lambda client: client.post("/similar", json={"item_id": 10}))
    assert answer.status_code == 504


def test_a_failure_is_a_500_whose_log_holds_nothing_of_the_request(tmp_path, caplog) -> None:
    own = service(tmp_path)

    def fail(item_id, k):
        raise RuntimeError("-".join(["sec", "ret"]))

    own.similar = fail
    app = create_app(own)
    with caplog.at_level(logging.INFO):
        answer = ask(app, lambda client: client.post("/similar", json={"item_id": 77}))
    assert answer.status_code == 500
    assert answer.headers["x-request-id"] in answer.json()["error"]
    assert "sec-ret" not in caplog.text
    assert "in fail" in caplog.text  # where it happened
    assert "77" not in answer.text
    assert "127.0.0.1" not in caplog.text


def test_secrets_are_redacted_wherever_they_are_logged() -> None:
    record = logging.LogRecord("x", 20, "f", 1, "key %s of %s", ("abc", "abcdef"), None)
    Redaction(["abc", "abcdef", ""]).filter(record)
    assert record.getMessage() == "key [redacted] of [redacted]"


def test_metrics_have_no_more_labels_than_paths(tmp_path) -> None:
    async def talk(client):
        for path in ("/a", "/b", "/recommend"):
            await client.post(path, json={})
        return await client.get("/metrics")

    text = ask(create_app(service(tmp_path)), talk).text
    assert 'requests_total{path="other",status="404"} 2.0' in text
    assert 'requests_total{path="/recommend",status="200"} 1.0' in text
    assert "history_cache_misses" in text
    assert 'model{version="' in text


def test_the_schema_names_every_path_and_the_docs_load_nothing_from_elsewhere(tmp_path) -> None:
    app = create_app(service(tmp_path), admin_key="boss")
    paths = {"/recommend", "/similar", "/explain", "/items", "/events", "/reload", "/healthz"}
    assert paths < set(app.openapi()["paths"])

    async def talk(client):
        return await client.get("/"), await client.get("/docs"), await client.get("/healthz")

    page, docs, health = ask(app, talk)
    assert "//" not in page.text.replace("  // ", "").replace("\n// ", "")  # but in comments
    assert docs.status_code == 404
    assert health.json()["drift"] == []


def test_drift_of_what_is_served_raises_an_alarm(tmp_path) -> None:
    own = service(tmp_path)
    own.drift.least = 50
    own.recommend([Query(items=(10, 20))] * 400)
    assert own.drift.report().loc["history_length", "psi"] > 0


def test_a_model_that_compares_no_items_says_so(tmp_path) -> None:
    own = service(tmp_path)
    own.current.model._similarity = Recommender._similarity.__get__(own.current.model, Markov)
    answer = ask(create_app(own), lambda client: client.post("/similar", json={"item_id": 10}))
    assert answer.status_code == 422
    assert "does not compare items" in answer.json()["error"]


def test_find_reads_titles_and_not_html(tmp_path) -> None:
    app = create_app(service(tmp_path))
    answer = ask(app, lambda client: client.post("/items", json={"text": "TITLE</b> 3"}))
    assert [item["item_id"] for item in answer.json()] == [30]
    assert isinstance(answer, httpx.Response)
