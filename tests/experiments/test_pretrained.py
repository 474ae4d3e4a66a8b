"""The pretrained retriever: on a shop's board, in a domain without rows, option by option."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from experiments import ensembles, pretrained_domain, pretrained_retriever, retriever_options
from experiments.__main__ import main
from experiments.compare import compare_runs
from experiments.pages import retriever_page
from experiments.records import Records, read_history
from m6rec_lite.data import bazaar, hidden_domain, leave_one_out
from m6rec_lite.data.result_files import read_json
from m6rec_lite.evaluation import evaluate
from m6rec_lite.m6rec import M6RecRetriever
from m6rec_lite.recommenders import EASE, ContentBased, Hybrid, ItemKNN, Popularity

DIALS = {"users": 80, "items": 60, "slates": 0, "seed": 2, "progress": False}
LARGE = replace(bazaar.generate(blocks=3, **DIALS), name="bazaar-large")
SHOP = bazaar.generate(**DIALS)
SPLIT = leave_one_out(SHOP)
TINY = ["epochs=1", "size=1x32", "vocab_size=300"]
DOMAIN = str(SHOP.items["domain"].mode()[0])


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Run an experiment on the small worlds; return its records."""
    worlds = {"bazaar": SHOP, "bazaar-large": LARGE}
    for module in (pretrained_domain, pretrained_retriever, retriever_options):
        monkeypatch.setattr(module, "load_dataset", lambda name: worlds[name])

    def run(*words: str):
        assert main([*words, "--root", str(tmp_path), "--quiet"]) == 0
        return Records(tmp_path / "results").frame()

    return run


def test_others_are_those_who_are_not_in_the_shop() -> None:
    others = pretrained_retriever.other_people(LARGE, SHOP)
    assert sorted(others.users["user_id"]) == list(range(81, 241))
    assert others.interactions["user_id"].min() == 81
    rows = pretrained_retriever.rows_in_shop(others, SPLIT)
    np.testing.assert_array_equal(rows.item_ids, SPLIT.item_ids)
    assert rows.user_ids.min() == 81
    assert len(rows) == rows.matrix().nnz


def test_the_retriever_stands_beside_rivals_of_the_same_rows(command, tmp_path, monkeypatch):
    folder = tmp_path / "model"
    words = ("pretrained_retriever", "--set", "item_input=text", *TINY)
    frame = command(*words, "--save", str(folder))
    with_settings = f"reads text, {', '.join(TINY)}"
    assert set(frame["variant"]) == {
        f"pretrained, {with_settings}",
        f"pretrained and fine-tuned, {with_settings}",
        "decay=0.8, the shop's rows",
        "decay=0.8, the other people's rows",
        "decay=0.8, all people's rows",
    }
    assert (frame["ranks"] == "kept").all()
    model = M6RecRetriever.load(folder).for_catalogue(SPLIT.item_ids, items=SHOP.items)
    report = evaluate(model, SPLIT, bootstrap=0, progress=False)
    row = frame[frame["variant"] == f"pretrained, {with_settings}"].iloc[0]
    assert row["ndcg@10"] == pytest.approx(report["ndcg@10"], abs=1e-6)
    assert len(read_history(tmp_path / "results" / "runs" / row["id"] / "metrics.jsonl")) == 1
    monkeypatch.setattr(pretrained_retriever, "pretrain", None)
    assert command(*words).equals(frame)  # nothing is run again


def test_no_model_of_four_domains_has_seen_a_row_of_the_fifth() -> None:
    elsewhere = pretrained_domain.without_domain(LARGE, DOMAIN)
    inside = set(LARGE.items.loc[LARGE.items["domain"] == DOMAIN, "item_id"])
    assert inside
    assert not inside & set(elsewhere.items["item_id"])
    assert not inside & set(elsewhere.interactions["item_id"])
    n_inside = int(LARGE.interactions["item_id"].isin(inside).sum())
    assert len(elsewhere.interactions) == len(LARGE.interactions) - n_inside


def test_text_neighbours_score_unseen_items_by_the_items_with_similar_texts() -> None:
    split = hidden_domain(SHOP, DOMAIN, **pretrained_domain.SHARES, seed=0)
    others = pretrained_retriever.other_people(LARGE, SHOP)
    elsewhere = pretrained_domain.without_domain(others, DOMAIN)
    rows = pretrained_retriever.rows_in_shop(elsewhere, split)
    plain = ItemKNN().fit(rows, progress=False)
    model = pretrained_domain.TextNeighbours(ItemKNN(), n_neighbours=3)
    model.fit(rows, items=SHOP.items, progress=False)
    histories = split.test.histories[:5]
    expected, result = plain.score(histories), model.score(histories)
    vectors = ContentBased().fit(rows, items=SHOP.items).vectors_.toarray()
    seen = rows.matrix().sum(axis=0) > 0
    np.testing.assert_allclose(result[:, seen], expected[:, seen])
    assert not seen[split.candidates].any()
    for item in np.flatnonzero(split.candidates):
        cosine = np.where(seen, vectors @ vectors[item], -1)
        nearest = np.argsort(-cosine, kind="stable")[:3]
        if len(np.unique(np.round(cosine[np.argsort(-cosine)[:4]], 9))) < 4:
            continue  # tied neighbours
        wanted = expected[:, nearest] @ cosine[nearest] / cosine[nearest].sum()
        np.testing.assert_allclose(result[:, item], wanted)


def test_a_domain_without_rows_has_each_rival_with_and_without_popularity(command, tmp_path):
    frame = command("pretrained_domain", "--domain", DOMAIN, "--set", *TINY)
    assert len(frame) == 2 + 2 * 6
    assert frame["variant"].str.startswith(f"{DOMAIN}: ").all()
    assert frame["ndcg@10"].between(0, 1).all()
    mixed = frame[frame["model"] == "Hybrid"]
    assert len(mixed) == 6
    popular = frame.set_index("model").loc["Popularity", "ndcg@10"]
    for run_id in mixed["id"]:
        report = read_json(tmp_path / "results" / "runs" / run_id / "report.json")
        validation = report["validation ndcg@10"]
        assert validation[str(report["weight of the model"])] == max(validation.values())
    assert popular > 0
    again = command("pretrained_domain", "--domain", DOMAIN, "--set", *TINY)
    assert again.equals(frame)
    page = retriever_page.write_page(tmp_path / "results").read_text(encoding="utf-8")
    assert "difference from Popularity" in page
    assert all(run_id in page for run_id in frame["id"])


def test_the_weights_of_an_ensemble_are_those_that_are_best_on_validation() -> None:
    ease = EASE(decay=0.8).fit(SPLIT.train, progress=False)
    popularity = Popularity().fit(SPLIT.train)
    chosen = ensembles.choose_ensemble(ease, popularity, SPLIT, (0.0, 0.3, 0.7, 1.0))
    assert chosen.ndcg[chosen.weight] == max(chosen.ndcg.values())
    for weight, value in chosen.ndcg.items():
        model = Hybrid([ease, popularity], weights=[weight, 1 - weight])
        model.fit(SPLIT.train, progress=False)
        report = evaluate(model, SPLIT, on="validation", bootstrap=0, progress=False)
        assert report["ndcg@10"] == pytest.approx(value)


def test_options_change_one_at_a_time_and_the_ensemble_is_compared_with_ease(
    command, tmp_path, monkeypatch
):
    recipe = {"epochs": 1, "size": "1x32", "vocab_size": 300}
    monkeypatch.setattr(retriever_options, "RECIPE", recipe)
    words = ("--only", "base", "linear", "attributes")
    frame = command("retriever_options", *words)
    assert sorted(frame["model"]) == ["Hybrid", *["M6RecRetriever"] * 3]
    assert not (tmp_path / "results" / "leaderboard").exists()
    base = retriever_options.retriever("base", {}, 0).get_params()
    for name, change in retriever_options.CHANGES.items():
        params = retriever_options.retriever(name, {}, 0).get_params()
        assert {key for key in params if params[key] != base[key]} == set(change)
    (mixed,) = frame.loc[frame["model"] == "Hybrid", "id"]
    report = read_json(tmp_path / "results" / "runs" / mixed / "report.json")
    ease = evaluate(EASE(decay=0.8).fit(SPLIT.train, progress=False), SPLIT, progress=False)
    more = report["more than EASE, paired"]
    value = report["metrics"]["ndcg@10"] - ease["ndcg@10"]
    assert more["mean"] == pytest.approx(value, abs=1e-5)
    assert more["low"] <= more["mean"] <= more["high"]
    assert command("retriever_options", *words).equals(frame)
    ids = frame.loc[frame["model"] == "M6RecRetriever", "id"].tolist()[:2]
    means, test = compare_runs(Records(tmp_path / "results"), *ids)
    assert test.mean_difference == pytest.approx(means[0] - means[1])
    page = retriever_page.write_page(tmp_path / "results").read_text(encoding="utf-8")
    assert "## One option at a time" in page
    assert "## In a domain without rows" not in page
    for run_id in frame["id"]:
        assert run_id in page
    assert f"minus EASE, paired: {more['mean']:+.4f}" in page
