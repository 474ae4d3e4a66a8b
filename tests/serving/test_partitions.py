"""Scores of partitions equal those of the whole log, in one process, resumed, and on Ray."""

from __future__ import annotations

import pandas as pd
import pytest

from m6rec_lite.data import DataError, Interactions, RunConfigError
from m6rec_lite.recommenders import Recommender
from m6rec_lite.serving import Query, create_app, partition_log, score_partitions
from m6rec_lite.serving import partitions as module
from tests.serving.models import LOG, ask, saved, service


def of(folder) -> pd.DataFrame:
    parts = [pd.read_parquet(path) for path in sorted(folder.glob("*.parquet"))]
    return pd.concat(parts).sort_values(["user_id", "rank"], ignore_index=True)


@pytest.fixture
def job(tmp_path):
    """The model's folder, and the files of a log."""
    return saved(tmp_path), partition_log(LOG, tmp_path / "log", 3)


def whole(model_path) -> pd.DataFrame:
    model = Recommender.load(model_path)
    return model.recommend(Interactions.from_frame(LOG).histories(), 4)


def test_partitions_hold_whole_users_and_every_row(job) -> None:
    parts = [pd.read_parquet(path) for path in job[1]]
    assert pd.concat(parts).sort_values("timestamp")["item_id"].tolist() == LOG["item_id"].tolist()
    users = [user for part in parts for user in part["user_id"].unique()]
    assert sorted(users) == [1, 2, 3, 4]


def test_a_log_in_pieces_gives_the_files_of_the_whole(tmp_path) -> None:
    whole_files = partition_log(LOG, tmp_path / "whole", 3)
    pieces = (LOG.iloc[start : start + 2] for start in range(0, len(LOG), 2))
    for one, other in zip(whole_files, partition_log(pieces, tmp_path / "pieces", 3), strict=True):
        assert one.name == other.name
        pd.testing.assert_frame_equal(pd.read_parquet(one), pd.read_parquet(other))


def test_a_faulty_piece_or_none_leaves_the_earlier_files(job, tmp_path) -> None:
    before = [path.read_bytes() for path in job[1]]
    texts = LOG.assign(user_id=[f"C{user}" for user in LOG["user_id"]])
    for pieces, told in (
        ([LOG, texts], "piece 1 of the log has other columns than the first"),
        ([LOG, LOG.drop(columns="timestamp")], "piece 1 .*timestamp"),
        ([], "no piece"),
    ):
        with pytest.raises(DataError, match=told):
            partition_log(iter(pieces), tmp_path / "log", 3)
        assert [path.read_bytes() for path in job[1]] == before
        assert len(list((tmp_path / "log").iterdir())) == 3


def test_the_scores_of_all_partitions_are_those_of_the_log(job, tmp_path) -> None:
    model_path, files = job
    assert score_partitions(model_path, files, tmp_path / "scores", 4) == 4
    pd.testing.assert_frame_equal(of(tmp_path / "scores"), whole(model_path))


def lists_of(answers) -> pd.DataFrame:
    """The lists of users 1 to 4, in the columns of ``recommend``."""
    rows = [
        (user, item, rank, score)
        for user, (items, scores) in enumerate(answers, 1)
        for rank, (item, score) in enumerate(zip(items, scores, strict=True), 1)
    ]
    return pd.DataFrame(rows, columns=["user_id", "item_id", "rank", "score"])


def test_in_process_over_http_and_in_partitions_the_lists_are_the_same(tmp_path) -> None:
    own, users = service(tmp_path), (1, 2, 3, 4)
    in_process = [(a.item_ids, a.scores) for a in own.recommend([Query(u, k=4) for u in users])]

    async def talk(client):
        bodies = [{"user": user, "k": 4} for user in users]
        return [(await client.post("/recommend", json=body)).json()["items"] for body in bodies]

    over_http = [
        ([item["item_id"] for item in items], [item["score"] for item in items])
        for items in ask(create_app(own), talk)
    ]
    score_partitions(
        tmp_path / "model", partition_log(LOG, tmp_path / "log", 3), tmp_path / "scores", 4
    )
    in_partitions = of(tmp_path / "scores")
    pd.testing.assert_frame_equal(in_partitions, whole(tmp_path / "model"))
    for answers in (in_process, over_http):
        pd.testing.assert_frame_equal(lists_of(answers), in_partitions, rtol=1e-12)


def test_a_stopped_job_goes_on_where_it_stopped(job, tmp_path, monkeypatch) -> None:
    model_path, files = job
    score, done = module.score_partition, []

    def stopping(model, source, *arguments):
        if len(done) == 1:
            raise KeyboardInterrupt
        done.append(source)
        return score(model, source, *arguments)

    monkeypatch.setattr(module, "score_partition", stopping)
    with pytest.raises(KeyboardInterrupt):
        score_partitions(model_path, files, tmp_path / "scores", 4)
    monkeypatch.setattr(module, "score_partition", score)
    left = score_partitions(model_path, files, tmp_path / "scores", 4)
    assert left == 4 - pd.read_parquet(done[0])["user_id"].nunique()
    assert score_partitions(model_path, files, tmp_path / "scores", 4) == 0
    pd.testing.assert_frame_equal(of(tmp_path / "scores"), whole(model_path))


def test_results_of_another_model_are_not_mixed(job, tmp_path) -> None:
    model_path, files = job
    score_partitions(model_path, files, tmp_path / "scores", 4)
    saved(tmp_path, decay=0.5)
    with pytest.raises(RunConfigError):
        score_partitions(model_path, files, tmp_path / "scores", 4)


def test_a_faulty_file_is_named(job, tmp_path) -> None:
    model_path, files = job
    files[1].write_bytes(b"no parquet")
    with pytest.raises(DataError, match=r"part-00001\.parquet"):
        score_partitions(model_path, files, tmp_path / "scores")


def start_ray(ray) -> None:
    """Start Ray; its services must answer within 15 seconds, which a busy machine may miss."""
    for _ in range(3):
        try:
            ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
        except Exception as error:  # Ray raises no class of its own here
            reason = str(error)
            ray.shutdown()
        else:
            return
    pytest.skip(f"Ray does not start on this machine: {reason}")


@pytest.mark.extra
def test_ray_gives_the_same_scores(job, tmp_path) -> None:
    ray = pytest.importorskip("ray")
    model_path, files = job
    try:
        start_ray(ray)
        assert score_partitions(model_path, files, tmp_path / "scores", 4, workers=1) == 4
        assert score_partitions(model_path, files, tmp_path / "scores", 4, workers=1) == 0
    finally:
        ray.shutdown()
    pd.testing.assert_frame_equal(of(tmp_path / "scores"), whole(model_path))
