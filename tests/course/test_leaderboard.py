"""Scales, bounds, the leaderboard and the figures drawn from it."""

import base64
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from m6rec_lite import course
from m6rec_lite.course.asserted_metrics import MIMETYPE, BoundError
from m6rec_lite.course.leaderboard import KEY, RUN_VARIABLE, Leaderboard
from m6rec_lite.data import DataError, Dataset, leave_one_out
from m6rec_lite.data.files import png_bytes, write_text
from m6rec_lite.data.result_files import locked
from m6rec_lite.evaluation import evaluate
from m6rec_lite.evaluation.rank_files import read_ranks
from m6rec_lite.evaluation.ranking import hr
from m6rec_lite.language.models.model_folder import ModelError
from m6rec_lite.m6rec.run_folder import read_report
from m6rec_lite.recommenders import Popularity

mpl.use("agg")


def row(model="EASE", ndcg=0.1, **more):
    return {
        "dataset": "bazaar", "scale": "smoke", "split_hash": "abc", "model": model, "variant": "",
        "seed": 0, "n_params": 3_141_592, "fit_seconds": 1.5, "predict_seconds": 0.1,
        "peak_mib": 12.0, "hr@10": 2 * ndcg, "ndcg@10": ndcg, "ndcg@10_low": ndcg - 0.01,
        "ndcg@10_high": ndcg + 0.01, "command": "make course",
    } | more  # fmt: skip


# ---------------------------------------------------------------- scale


def test_the_scale_comes_from_the_environment_else_laptop(monkeypatch):
    monkeypatch.delenv("M6REC_SCALE", raising=False)
    assert course.default_scale() == "laptop"
    monkeypatch.setenv("M6REC_SCALE", "gpu")
    assert course.default_scale() == "gpu"
    monkeypatch.setenv("M6REC_SCALE", "Smoke")
    with pytest.raises(ValueError, match=r"M6REC_SCALE is 'Smoke'; wanted one of smoke, laptop"):
        course.default_scale()


def test_sizes_are_those_of_the_scale():
    how = {"smoke": {"users": 5, "epochs": 1}, "laptop": {"users": 50, "epochs": 2}}
    assert course.sizes("smoke", **how).users == 5
    assert course.sizes("laptop", **how).epochs == 2
    assert course.sizes("gpu", **how).users == 50  # as laptop, unless told
    assert course.sizes("gpu", **how, gpu={"users": 500, "epochs": 3}).users == 500
    with pytest.raises(ValueError, match="SCALE is 'big'"):
        course.sizes("big", **how)
    with pytest.raises(ValueError, match=r"'smoke' and 'laptop' differ in \['epochs'\]"):
        course.sizes("laptop", smoke={"users": 5}, laptop=how["laptop"])


# ---------------------------------------------------------------- bounds


def test_a_recorded_value_says_whether_its_bound_holds(displayed, monkeypatch):
    monkeypatch.delenv("M6REC_STRICT", raising=False)
    course.record("EASE ndcg@10", 0.12, at_least=0.1)
    course.record("EASE ndcg@10", 0.02, at_least=0.1, at_most=0.9)
    course.record("loss", float("nan"), at_most=1)
    told = [data["text/plain"] for data, _ in displayed]
    assert told[0] == "EASE ndcg@10 = 0.12 (at least 0.1: holds)"
    assert told[1] == "EASE ndcg@10 = 0.02 (at least 0.1 and at most 0.9: does NOT hold)"
    assert [data[MIMETYPE]["holds"] for data, _ in displayed] == [True, False, False]


def test_a_broken_bound_raises_in_the_tests(displayed, monkeypatch):
    monkeypatch.setenv("M6REC_STRICT", "1")
    course.record("x", 1.0, at_least=1.0)
    with pytest.raises(BoundError, match="does NOT hold"):
        course.record("x", 0.99, at_least=1.0)
    with pytest.raises(ValueError, match="needs at_least"):
        course.record("x", 1.0)


@pytest.fixture
def displayed(monkeypatch):
    """What was displayed: (data, metadata) pairs."""
    seen = []

    def display(data, raw=False, metadata=None):
        assert raw
        seen.append((data, metadata or {}))

    monkeypatch.setattr("IPython.display.display", display)
    return seen


# ---------------------------------------------------------------- leaderboard


def test_a_row_replaces_its_like_and_only_that(tmp_path):
    board = Leaderboard(tmp_path)
    board.add(row(ndcg=0.1))
    board.add(row("Popularity", ndcg=0.05))
    board.add(row(ndcg=0.2))
    frame = board.frame("bazaar")
    assert frame["model"].tolist() == ["Popularity", "EASE"]  # the newest last
    assert frame["ndcg@10"].tolist() == [0.05, 0.2]
    changed = {"scale": "laptop", "split_hash": "def", "model": "X", "variant": "k=5", "seed": 1}
    for name, value in changed.items():
        before = len(board.frame("bazaar"))
        board.add(row(**{name: value}))
        assert len(board.frame("bazaar")) == before + 1, name
    board.add(row(dataset="ml-100k"))
    assert len(board.frame("ml-100k")) == 1
    assert set(board.frame()["dataset"]) == {"bazaar", "ml-100k"}


def test_what_was_written_is_read_back_the_same(tmp_path):
    board = Leaderboard(tmp_path)
    wanted = row(variant="l2=300 decay=0.7", split_hash="012345678901", ndcg=1 / 3)
    board.add(wanted | {"n_params": 12_345_678_901})
    board.add(row("Oracle", n_params=np.nan, split_hash="012345678901"))
    first = board.frame("bazaar").iloc[0].to_dict()
    assert first["split_hash"] == "012345678901"  # digits are no number here
    assert first["variant"] == "l2=300 decay=0.7"
    assert first["n_params"] == 12_345_678_901
    assert first["ndcg@10"] == pytest.approx(1 / 3, abs=1e-9)
    assert board.frame("bazaar").columns[: len(KEY)].tolist() == list(KEY)
    assert board.frame("bazaar").columns[-1] == "command"


def test_the_command_and_place_come_from_the_run(tmp_path, monkeypatch):
    monkeypatch.setenv("M6REC_RUN", str(tmp_path))
    monkeypatch.setenv("M6REC_COMMAND", "python -m m6rec_lite.course run")
    board = Leaderboard()
    unsigned = row()
    del unsigned["command"]
    board.add(unsigned)
    assert (tmp_path / "leaderboard" / "bazaar.csv").exists()
    assert board.frame("bazaar")["command"].tolist() == ["python -m m6rec_lite.course run"]


def test_a_report_is_asked_for_its_row(tmp_path):
    class Report:
        def to_row(self):
            return row(scale="", seed=None, command="")

    board = Leaderboard(tmp_path)
    with pytest.raises(ValueError, match=r"lacks seed.*board\.add\(report, scale=SCALE"):
        board.add(Report(), scale="smoke")
    board.add(Report(), scale="smoke", seed=3)
    assert board.frame("bazaar")[["scale", "seed"]].values.tolist() == [["smoke", 3]]


def test_only_rows_that_may_be_compared_are_shown(tmp_path):
    board = Leaderboard(tmp_path)
    assert len(board.latest("bazaar")) == 0
    assert len(board.show("bazaar")) == 0
    board.add(row("Old", split_hash="old"))
    board.add(row("Popularity", 0.05))
    board.add(row("EASE", 0.2))
    board.add(row("Elsewhere", 0.9, scale="laptop"))
    assert board.latest("bazaar", scale="smoke")["model"].tolist() == ["Popularity", "EASE"]
    assert board.latest("bazaar")["model"].tolist() == ["Elsewhere"]
    table = board.show("bazaar", scale="smoke")
    assert table["model"].tolist() == ["EASE", "Popularity"]
    assert table.index.tolist() == [1, 2]
    with pytest.raises(ValueError, match=r"no metric 'mrr@10'.*it has hr@10, ndcg@10"):
        board.show("bazaar", scale="smoke", metric="mrr@10")


def test_two_writers_lose_no_row(tmp_path):
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda i: Leaderboard(tmp_path).add(row(f"m{i}")), range(24)))
    assert set(Leaderboard(tmp_path).frame()["model"]) == {f"m{i}" for i in range(24)}
    assert {path.name for path in tmp_path.iterdir()} == {"bazaar.csv", ".bazaar.csv.lock"}


WRITER = """
import sys
from m6rec_lite.course import Leaderboard
board = Leaderboard(sys.argv[1])
for i in range(int(sys.argv[3])):
    board.add(dict(dataset="d", scale="smoke", split_hash="x", model=f"{sys.argv[2]}{i}", seed=0))
"""


def test_a_lock_file_left_by_a_killed_writer_neither_blocks_nor_loses_rows(tmp_path):
    (tmp_path / ".d.csv.lock").touch()
    commands = [[sys.executable, "-c", WRITER, str(tmp_path), name, "12"] for name in "AB"]
    writers = [subprocess.Popen(command) for command in commands]
    assert [writer.wait() for writer in writers] == [0, 0]
    wanted = {f"{name}{i}" for name in "AB" for i in range(12)}
    assert set(Leaderboard(tmp_path).frame("d")["model"]) == wanted


def test_a_killed_writer_frees_its_lock(tmp_path):
    hold = "import sys, pathlib\nfrom m6rec_lite.data.result_files import locked\n"
    hold += "with locked(pathlib.Path(sys.argv[1])): print('held', flush=True); input()"
    command = [sys.executable, "-c", hold, str(tmp_path / "bazaar.csv")]
    holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout.readline() == b"held\n"
    with (
        pytest.raises(TimeoutError, match=r"bazaar\.csv has been locked by another process"),
        locked(tmp_path / "bazaar.csv", patience=0.05),
    ):
        pass
    holder.kill()
    holder.communicate()
    Leaderboard(tmp_path).add(row())
    assert len(Leaderboard(tmp_path).frame("bazaar")) == 1


@pytest.mark.parametrize(
    ("cut", "said"),
    [
        (lambda text: text[:-12], "last line is cut off"),
        (lambda text: text[: text.rindex(",0,")], r"line 4 does not have the \d+ cells"),
        (lambda text: text[:20], "header lacks .*split_hash"),
        (lambda text: text.split("\n", 1)[1], "header lacks dataset"),
        (lambda text: "", "it is empty"),
    ],
    ids=["half line", "cut before the seed", "header cut", "first line gone", "empty"],
)
def test_a_damaged_file_is_refused_by_name_and_never_overwritten(tmp_path, cut, said):
    board = Leaderboard(tmp_path)
    for name in "ABC":
        board.add(row(name))
    path = board.path("bazaar")
    path.write_text(cut(path.read_text()))
    damaged = path.read_bytes()
    for step in (lambda: board.add(row("new")), lambda: board.latest("bazaar"), board.frame):
        with pytest.raises(DataError, match=rf"bazaar\.csv is damaged: .*{said}.*take out"):
            step()
    assert path.read_bytes() == damaged


@pytest.mark.parametrize("hostile", ["a\nb", "x\u2028y", 'say "hi", then', "\r", "=1+1", "é\x0bf"])
def test_any_text_in_a_cell_is_read_back_and_is_no_damage(tmp_path, hostile):
    board = Leaderboard(tmp_path)
    board.add(row(variant=hostile))
    board.add(row("B"))
    assert board.frame("bazaar")["variant"].tolist() == [hostile.replace("\r", "\n"), ""]


def test_a_failed_write_leaves_the_old_file_whole(tmp_path, monkeypatch):
    path = tmp_path / "table.csv"
    write_text(path, "old\n")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_text(path, "new\n" * 1000)
    assert path.read_text() == "old\n"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_names_the_file(tmp_path, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match=r"No space left.*table\.csv"):
        write_text(tmp_path / "table.csv", "new\n")


@pytest.mark.parametrize("text", ["", "{", '{"a": 1'])
def test_json_that_was_cut_is_refused_by_name(tmp_path, text):
    (tmp_path / "report.json").write_text(text)
    with pytest.raises(ModelError, match=r"report\.json is missing or damaged"):
        read_report(tmp_path)


def test_no_module_of_the_course_reads_a_shared_file_unguarded():
    folder = Path(course.__file__).parent
    unguarded = [
        f"{path.name}: {call}"
        for path in folder.glob("*.py")
        if path.name not in ("files.py", "notebook_lint.py")  # these report what is wrong
        for call in ("json.loads(path", "nbformat.read(", '.read_text(encoding="utf-8"))[')
        if call in path.read_text(encoding="utf-8")
    ]
    assert unguarded == []


# ---------------------------------------------------------------- figures


def test_a_figure_is_shown_with_its_alt_text_and_closed(displayed):
    course.style()
    fig, ax = plt.subplots()
    ax.plot([1, 2])
    number = fig.number
    course.show(fig, alt="The line rises  from one\nto two.")
    ((data, metadata),) = displayed
    assert data["image/png"].startswith(b"\x89PNG")
    assert metadata["image/png"]["alt"] == "The line rises from one to two."
    assert data["text/plain"] == "The line rises from one to two."
    assert not plt.fignum_exists(number)


@pytest.mark.parametrize("alt", ["", "a line chart"])
def test_an_alt_text_that_says_nothing_is_refused(alt, displayed):
    fig, _ = plt.subplots()
    with pytest.raises(ValueError, match="describe it in a sentence"):
        course.show(fig, alt=alt)
    plt.close(fig)


def test_lines_differ_by_more_than_colour():
    course.style()
    fig, ax = plt.subplots()
    lines = [ax.plot([0, i])[0] for i in range(8)]
    looks = {(line.get_linestyle(), line.get_marker()) for line in lines}
    assert len(looks) == 8
    assert len({line.get_color() for line in lines}) == 8
    plt.close(fig)


def test_the_same_figure_gives_the_same_bytes():
    def draw():
        fig = course.plot_leaderboard(pd.DataFrame([row(), row("Oracle", 0.3)]))
        picture = png_bytes(fig)
        plt.close(fig)
        return base64.b64encode(picture)

    assert draw() == draw()


def test_the_ladder_has_a_bar_a_model_and_the_oracle_as_a_line():
    rows = pd.DataFrame([row("B", 0.2), row("A", 0.1), row("Oracle", 0.5), row("B", 0.3, seed=1)])
    fig = course.plot_leaderboard(rows)
    ax = fig.axes[0]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["A", "B"]  # worst below
    assert [bar.get_width() for bar in ax.patches] == pytest.approx([0.1, 0.25])  # mean of seeds
    assert any(list(line.get_xdata()) == [0.5, 0.5] for line in ax.lines)
    assert ax.get_xlim()[1] > 0.5
    plt.close(fig)
    words = course.leaderboard_alt_text(rows)
    assert re.search(r"A 0\.100, B 0\.250, Oracle 0\.500", words)


def test_rows_of_this_run_stand_beside_the_recorded_ones_and_look_different():
    recorded = pd.DataFrame([row("B", 0.2, scale="laptop"), row("Oracle", 0.5, scale="laptop")])
    own = pd.DataFrame([row("B", 0.3), row("A", 0.1), row("Oracle", 0.5)])
    fig = course.plot_leaderboard(recorded, own=own)
    ax = fig.axes[0]
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert names == ["A, this run", "B", "B, this run"]
    assert [bar.get_width() for bar in ax.patches] == pytest.approx([0.1, 0.2, 0.3])
    mine, theirs, again = [(bar.get_facecolor(), bar.get_hatch()) for bar in ax.patches]
    assert mine == again
    assert mine[0] != theirs[0]
    assert mine[1] != theirs[1]
    said = [text.get_text() for text in ax.get_legend().get_texts()]
    assert said == ["recorded by the project", "this run"]
    plt.close(fig)
    words = course.leaderboard_alt_text(recorded, own=own)
    assert "A, this run 0.100, B 0.200, B, this run 0.300, Oracle 0.500" in words
    with pytest.raises(ValueError, match="several values of split_hash"):
        course.plot_leaderboard(recorded, own=pd.DataFrame([row(split_hash="other")]))


def test_rows_that_cannot_be_compared_are_not_drawn_together():
    with pytest.raises(ValueError, match=r"several values of split_hash"):
        course.plot_leaderboard(pd.DataFrame([row(), row("B", split_hash="other")]))
    with pytest.raises(ValueError, match="no rows yet"):
        course.plot_leaderboard(pd.DataFrame())
    with pytest.raises(ValueError, match="no metric 'auc'"):
        course.plot_leaderboard(pd.DataFrame([row()]), metric="auc")


def test_a_run_keeps_the_ranks_of_the_reports_it_adds(tmp_path, monkeypatch):
    rows = [(user, (user + 3 * t) % 20, t) for user in range(40) for t in range(5)]
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"])
    split = leave_one_out(Dataset("walks", frame, items=None, users=None, card={}))
    report = evaluate(Popularity().fit(split.train), split, bootstrap=0, progress=False)
    monkeypatch.setenv(RUN_VARIABLE, str(tmp_path / "run"))
    for board, kept in ((Leaderboard(), True), (Leaderboard(tmp_path / "results"), False)):
        board.add(report, scale="smoke", seed=0)
        (row,) = board.frame("walks").to_dict("records")
        assert board.ranks_path(row).is_file() == kept
    users, ranks = read_ranks(Leaderboard().ranks_path(row))
    assert users.tolist() == list(range(40))
    assert hr(ranks, 10).mean() == report["hr@10"]
