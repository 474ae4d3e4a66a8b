"""Pages on the larger worlds: figures and tables that follow from records and ranks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from experiments import simple_models
from experiments.__main__ import main
from experiments.pages import boards, filter_tables, people
from experiments.records import Records, RunKey
from m6rec_lite.course.leaderboard import Leaderboard

#: NDCG@10 of ranks 1, 2 and 20.
FIRST, SECOND, NOT_SHOWN = 1.0, 1 / np.log2(3), 0.0


def record(
    results: Path,
    key: RunKey,
    above: Sequence[int],
    *,
    settings: dict | None = None,
    validation: Sequence[float] = (),
    date: str = "2026-01-01",
    **more: object,
) -> Path:
    """Write a run whose users have ``above`` items ranked above their targets."""
    folder = Records(results).folder(key)
    folder.mkdir(parents=True)
    config = {name: getattr(key, name) for name in key.__dataclass_fields__}
    config |= {"settings": settings or {}, "command": "make it", "date": date} | more
    (folder / "config.json").write_text(json.dumps(config))
    gains = [1 / np.log2(n + 2) if n < 10 else 0.0 for n in above]
    report = {
        "n_users": len(above),
        "metrics": {"hr@10": float(np.mean([n < 10 for n in above])), "ndcg@10": np.mean(gains)},
        "intervals": {"ndcg@10": [0.0, 1.0]},
        "costs": {"fit_seconds": 2.0},
    }
    if key.experiment == "people":
        report["people"] = int(key.variant.split()[0])
    (folder / "report.json").write_text(json.dumps(report))
    if validation:
        lines = [{"epoch": i, "ndcg@10": value} for i, value in enumerate(validation, 1)]
        (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    np.savez(
        folder / "ranks.npz",
        user_ids=np.arange(len(above)),
        above=np.array(above),
        tied=np.ones(len(above), dtype=int),
        n_items=50,
    )
    return folder


def trained(model: str, n: int, settings: str = "", seed: int = 0) -> RunKey:
    return RunKey("people", "bazaar", model, f"{n} people {settings}".strip(), seed)


@pytest.fixture
def curves(tmp_path: Path) -> Path:
    """EASE is the better one with 100 people, M6-Rec with 10,000."""
    for n, ease, ours in ((100, [0] * 8, [1] * 8), (10_000, [1] * 8, [0] * 8)):
        record(tmp_path, trained("EASE", n), ease)
        record(tmp_path, trained("M6RecRetriever", n), ours, validation=[0.1, 0.3, 0.2])
    return tmp_path


# The number of people


def test_validation_selects_the_settings_and_seeds_are_averaged(tmp_path: Path) -> None:
    runs = {"epochs=1": 0.2, "epochs=2": 0.4, "epochs=3": 0.3}
    for settings, value in runs.items():
        for seed, above in enumerate(([0, 20], [20, 20])):
            key = trained("SASRec", 100, settings, seed)
            record(tmp_path, key, above, validation=[value / 2, value])
    (point,) = people.read_points(tmp_path)
    assert (point.name, point.people, point.variant, point.seeds) == ("SASRec", 100, "epochs=2", 2)
    assert point.epochs == "2 of 2"
    assert point.ndcg.tolist() == [(FIRST + NOT_SHOWN) / 2, NOT_SHOWN]
    assert point.mean == point.ndcg.mean()


def test_without_validation_the_newest_run_is_shown(tmp_path: Path) -> None:
    for date, settings in (("2026-02-02", "decay=0.8"), ("2026-01-01", "decay=0.9")):
        record(tmp_path, trained("EASE", 100, settings), [0, 1], date=date)
    (point,) = people.read_points(tmp_path)
    assert point.variant == "decay=0.8"


def test_the_curves_cross_where_the_difference_changes_its_sign(curves: Path) -> None:
    tests = people.differences(people.read_points(curves))
    assert [test.mean_difference for test in tests.values()] == pytest.approx(
        [SECOND - FIRST, FIRST - SECOND]
    )
    fewer, more, between = people.crossing(tests)
    assert (fewer, more) == (100, 10_000)
    assert between == pytest.approx(1000)  # the middle on a logarithmic axis
    text = people.statement(tests)
    assert "below EASE with 100 people; above EASE with 10,000 people" in text
    assert "cross between 100 and 10,000 people" in text
    assert text in people.section(curves)
    assert "on 10,000 people" in people.headline(curves)
    assert f"{people.OURS} 1.000, EASE 0.631" in people.headline(curves)


def test_the_network_of_the_same_kind_is_compared_too(curves: Path) -> None:
    assert "SASRec" not in people.section(curves) + people.headline(curves)
    for n, above in ((100, [1] * 8), (1000, [1] * 8), (10_000, [20] * 8)):
        record(curves, trained("SASRec", n), above)
    record(curves, trained("M6RecRetriever", 1000), [20] * 8, validation=[0.1])
    tests = people.differences(people.read_points(curves), "SASRec")
    assert [test.mean_difference for test in tests.values()] == pytest.approx(
        [0, NOT_SHOWN - SECOND, FIRST - NOT_SHOWN]
    )
    assert people.crossing(tests) is None  # 0, below, above: no single place
    section = people.section(curves)
    assert "below SASRec with 1,000 people; not told apart from SASRec with 100 people" in section
    assert "above SASRec with 10,000 people." in section
    assert "SASRec 0.000 (paired difference +1.0000" in people.headline(curves)


def test_a_difference_within_its_interval_is_not_told_apart(tmp_path: Path) -> None:
    record(tmp_path, trained("EASE", 100), [0, 1, 0, 20])
    record(tmp_path, trained("M6RecRetriever", 100), [1, 0, 20, 0])
    tests = people.differences(people.read_points(tmp_path))
    assert people.crossing(tests) is None
    assert "is not told apart from EASE with 100 people." in people.statement(tests)


def test_the_figure_has_a_curve_for_each_model_and_marks_the_crossing(curves: Path) -> None:
    record(curves, filter_tables.inferred_filter("bazaar"), [0, 0])
    record(curves, RunKey("simple_models", "bazaar", "Oracle"), [0, 0])
    points, lines = people.read_points(curves), people.read_lines(curves)
    assert lines == {"Bayes filter": 1.0, "Oracle": 1.0}
    (ax,) = people.plot(points, lines).axes
    assert ax.get_legend_handles_labels()[1] == [people.OURS, "EASE"]
    assert ax.get_xscale() == "log"
    upright = [line for line in ax.lines if len(set(line.get_xdata())) == 1]
    assert any(line.get_xdata()[0] == pytest.approx(1000) for line in upright)
    text = people.alt_text(points, lines)
    assert "EASE 1.000 with 100, 0.631 with 10,000" in text
    assert "cross between 100 and 10,000" in text


def test_a_missing_model_leaves_an_empty_cell_and_no_records_no_section(tmp_path: Path) -> None:
    for section in (people.section, filter_tables.section):
        assert section(tmp_path) == ""
    assert people.headline(tmp_path) == ""
    people.draw(tmp_path)
    record(tmp_path, trained("EASE", 100), [0, 1])
    record(tmp_path, trained("Bigram", 200), [0, 1])
    table = people.by_people(people.read_points(tmp_path)).set_index("model")
    assert table.index.tolist() == ["Bigram", "EASE"]
    assert (table == "").to_numpy().tolist() == [[True, False], [False, True]]
    assert "Settings of the networks" not in people.section(tmp_path)


# The Bayes filter and the leaderboards


def filter_run(results: Path, above: Sequence[int], **settings: object) -> None:
    variant = json.dumps(settings)
    if not settings:
        variant = filter_tables.INFERRED
    record(results, RunKey("bayes_filter", "bazaar", "Bayes filter", variant), above,
           settings=settings)  # fmt: skip


def test_a_part_is_worth_what_its_absence_costs_each_user(tmp_path: Path) -> None:
    filter_run(tmp_path, [0, 1, 1])
    filter_run(tmp_path, [1, 1, 1], without=["context"])
    filter_run(tmp_path, [0, 0, 0], know_shopper=True)
    runs = filter_tables.filter_runs(tmp_path, "bazaar")
    table = filter_tables.ablation_table(runs)
    assert table["without"].tolist() == ["nothing", "context"]
    change = (SECOND - FIRST) / 3
    assert table["change, paired"].tolist()[1].startswith(f"{change:+.4f} (")
    known = filter_tables.knowledge_table(runs, oracle=1.0)
    assert known["shopper"].tolist() == ["inferred", "known"]
    assert known["share of the oracle"].tolist() == [f"{(FIRST + 2 * SECOND) / 3:.0%}", "100%"]


def test_a_leaderboard_has_the_filter_and_says_how_many_questions_it_answered(
    tmp_path: Path,
) -> None:
    board = Leaderboard(tmp_path / "leaderboard")
    row = {"dataset": "bazaar", "scale": "laptop", "split_hash": "abc", "variant": "", "seed": 0}
    for model, value, seeds in (("Oracle", 0.9, 1), ("Bigram", 0.3, 2)):
        for seed in range(seeds):
            figures = {"hr@10": 1.0, "ndcg@10": value + 0.1 * seed, "ndcg@10_low": value - 0.1,
                       "ndcg@10_high": value + 0.2, "n_users": 3, "fit_seconds": 1.0}  # fmt: skip
            board.add(row | figures | {"model": model, "seed": seed})
    table = boards.board_table(tmp_path, "bazaar")
    assert "share of the filter" not in table
    filter_run(tmp_path, [0, 1, 1])
    table = boards.board_table(tmp_path, "bazaar").set_index("model")
    assert "questions" not in table
    assert table["seeds"].to_dict() == {"Oracle": 1, "Bayes filter": 1, "Bigram": 2}
    assert table.loc["Bigram", "ndcg@10"] == "0.3500 (0.2000 to 0.5000)"
    assert table.loc["Bigram", "share of the oracle"] == "39%"
    filter_run(tmp_path, [0, 1], know_time=True)
    assert boards.board_table(tmp_path, "bazaar")["questions"].tolist().count("2") == 1


def test_networks_are_compared_with_simple_models_user_by_user(tmp_path: Path) -> None:
    record(tmp_path, RunKey("simple_models", "bazaar-large", "EASE", "decay=0.8"), [1, 1, 1])
    for seed, above in enumerate(([0, 1, 1], [1, 1, 0])):
        record(tmp_path, RunKey("long_runs", "bazaar-large", "SASRec", "", seed), above)
    table = boards.paired_table(tmp_path, "bazaar-large")
    assert table[["model", "seeds", "minus"]].to_numpy().tolist() == [
        ["SASRec", 2, "EASE decay=0.8"]
    ]
    assert table["difference"].tolist() == [f"{(FIRST - SECOND) / 3:+.4f}"]
    assert not len(boards.paired_table(tmp_path, "bazaar-wide"))


def test_an_unknown_simple_model_is_refused(capsys: pytest.CaptureFixture) -> None:
    assert main(["simple_models", "--models", "Ease"]) == 2
    assert "--models takes Bigram, ContentBased, EASE" in capsys.readouterr().err


def test_one_simple_model_is_recorded_where_it_is_named(tmp_path: Path, monkeypatch) -> None:
    from m6rec_lite.data import bazaar

    world = bazaar.generate(users=60, items=60, slates=0, seed=2, progress=False)
    monkeypatch.setattr(simple_models, "load_dataset", lambda name: world)
    words = ["simple_models", "--models", "Bigram", "Oracle", "--root", str(tmp_path), "--quiet"]
    assert main(words) == 0
    frame = Records(tmp_path / "results").frame()
    assert frame["model"].tolist() == ["Bigram", "Oracle"]
