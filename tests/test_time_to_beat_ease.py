"""The board "time to beat EASE": what passes, which rows are refused, and what a new run finds.

A model that reads the test targets passes, as the first test shows: the script cannot know. The
automatic run finds rows that are not reproduced.
"""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from benchmarks import time_to_beat_ease as board
from experiments.pages.regions import region
from m6rec_lite.evaluation import FixedScores
from m6rec_lite.recommenders import Popularity
from tests.worlds import small_split

ROOT = Path(__file__).resolve().parents[1]

GOOD = """
[[row]]
name = "x"
by = "someone"
model = "m6rec_lite.recommenders:EASE"
settings = { decay = 0.7 }
tuning = "none"
trained_on = "nothing else"
measured = { cpu_seconds = 2.0, ease_cpu_seconds = 1.0, ndcg = 0.3, difference = 0.1, low = 0.05, \
high = 0.15, processor = "x86_64" }
"""


def rows_of(tmp_path, text):
    path = tmp_path / "rows.toml"
    path.write_text(text)
    return board.read_rows(path)


class Answers(FixedScores):
    """Scores each user's test target highest; it needs no time."""

    def __init__(self, split):
        scores = np.zeros((len(split.test), len(split.item_ids)))
        scores[split.test.target_rows, split.test.targets] = 1
        super().__init__(split.item_ids, split.test.histories.user_ids, scores)

    def fit(self, train, **tables):
        return self


def test_a_model_that_reads_the_answers_passes_which_the_script_cannot_see():
    split = small_split()
    measured = board.measure(lambda: Answers(split), split)
    assert measured.passes
    assert measured.ndcg == 1
    assert min(measured.cpu_seconds, measured.ease_cpu_seconds) >= 0


@pytest.mark.parametrize("build", [Popularity, board.LINE], ids=["below", "EASE itself"])
def test_a_model_that_is_not_above_ease_does_not_pass(build):
    measured = board.measure(build, small_split())
    assert not measured.passes
    assert measured.difference <= 0
    assert "not above EASE" in board.faults(ROW, measured)[0]


ROW = board.Row("x", "someone", "m6rec_lite.recommenders:EASE", "none", "nothing else")
SEEN = board.Measured(2.0, 1.0, 0.3, 0.1, 0.05, 0.15, "x86_64")


@pytest.mark.parametrize(
    ("stated", "found", "fault"),
    [
        (SEEN, SEEN, None),
        (SEEN, replace(SEEN, cpu_seconds=4.0), None),
        (SEEN, replace(SEEN, cpu_seconds=0.1), None),  # faster than it states is no fault
        (SEEN, replace(SEEN, cpu_seconds=4.1), "more than 2 times the 2.0"),
        (SEEN, replace(SEEN, low=0.0), "not above EASE"),
        (None, SEEN, "no measured values"),
    ],
)
def test_a_new_run_finds_rows_that_are_not_reproduced(stated, found, fault):
    faults = board.faults(replace(ROW, measured=stated), found)
    assert bool(faults) == (fault is not None)
    assert fault is None or fault in faults[0]


def test_the_rows_of_the_project_are_valid_and_stand_on_the_page():
    rows = board.read_rows()
    assert rows
    assert board.table(rows) == region(board.PAGE, "board"), "run with --page"
    example = re.search(r"```toml\n(.*?)```", board.PAGE.read_text(encoding="utf-8"), re.DOTALL)[1]
    assert "EASE with a smaller penalty" in example


@pytest.mark.slow  # imports PyTorch
def test_every_model_of_the_board_can_be_built():
    for row in board.read_rows():
        assert row.maker()().get_params()


def test_the_fastest_measured_row_is_first(tmp_path):
    (row,) = rows_of(tmp_path, GOOD)
    slow = replace(row, name="slow", measured=replace(SEEN, cpu_seconds=30.0))
    text = board.table([slow, row, replace(row, name="new", measured=None)])
    assert text.index("| x | 2.0 | 2.0 |") < text.index("| slow | 30.0 | 30.0 |")
    assert 'Not measured yet: `python -m benchmarks.time_to_beat_ease "new"`' in text


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('by = "someone"\n', "", "row 1: missing .*'by'"),
        ("settings =", "seed =", "unexpected keyword argument 'seed'"),
        ("cpu_seconds = 2.0, ", "", "missing .*'cpu_seconds'"),
        ("cpu_seconds = 2.0", "cpu_seconds = 0", "above 0"),
        ("cpu_seconds = 2.0", "cpu_seconds = nan", "finite"),
        ("low = 0.05", "low = -0.01", "not above EASE: the interval begins at -0.01"),
        ("recommenders:EASE", "recommenders.EASE", "MODULE:NAME"),
        ('tuning = "none"', 'tuning = " "', "tuning must be a text"),
        ('name = "x"', 'name = "a|b"', "without '|'"),
        ('name = "x"', "name = x", "not valid TOML"),
    ],
)
def test_a_bad_row_is_refused(old, new, message, tmp_path):
    assert old in GOOD
    with pytest.raises(ValueError, match=message):
        rows_of(tmp_path, GOOD.replace(old, new))


def test_two_rows_need_two_names(tmp_path):
    with pytest.raises(ValueError, match="two rows named 'x'"):
        rows_of(tmp_path, GOOD + GOOD)


@pytest.mark.parametrize(
    ("model", "settings"),
    [
        ("no_such_module:A", {}),
        ("m6rec_lite.recommenders:Nothing", {}),
        ("m6rec_lite.recommenders:EASE", {"penalty": 1}),
    ],
)
def test_a_model_that_cannot_be_built_is_named(model, settings):
    with pytest.raises(ValueError, match=f"row 'x': {model} cannot be built"):
        replace(ROW, model=model, settings=settings).maker()


def test_only_new_or_changed_rows_are_measured_again(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(board, "load_dataset", lambda name: pytest.fail("measured"))
    rows = tmp_path / "rows.toml"
    rows.write_text(GOOD)
    assert board.main(["--check", "--rows", str(rows), "--base", str(rows)]) == 0
    assert "0 new or changed rows" in capsys.readouterr().out
    assert board.main(["y", "--rows", str(rows)]) == 1
    assert "no row is named 'y'" in capsys.readouterr().err


@pytest.mark.parametrize("low", [0.05, -0.05])
def test_the_last_line_is_one_json_object_and_a_check_fails_by_its_code(
    low, tmp_path, monkeypatch, capsys
):
    measured = replace(SEEN, low=low)
    monkeypatch.setattr(board, "measure", lambda *args, **tables: measured)
    monkeypatch.setattr(board, "load_dataset", lambda name: small_data)
    monkeypatch.setattr(board, "leave_one_out", lambda data: None)
    small_data = type("Data", (), {"items": None, "users": None})()
    rows = tmp_path / "rows.toml"
    rows.write_text(GOOD)
    assert board.main(["x", "--rows", str(rows)]) == 0
    out = capsys.readouterr().out.splitlines()
    assert json.loads(out[-1])["low"] == low
    copied = GOOD.replace(GOOD.strip().splitlines()[-1], out[-2])  # the line to paste
    if low > 0:
        assert rows_of(tmp_path, copied)[0].measured == measured
    assert board.main(["--check", "--rows", str(rows)]) == int(low < 0)


def test_the_workflow_measures_what_the_pull_request_adds():
    text = (ROOT / ".github" / "workflows" / "time-to-beat-ease.yml").read_text(encoding="utf-8")
    workflow = yaml.safe_load(text)
    assert workflow["permissions"] == {}
    job = workflow["jobs"]["measure"]
    assert job["permissions"] == {"contents": "read"}
    assert job["env"]["OMP_NUM_THREADS"] == "1"
    command = job["steps"][-1]["run"]
    assert command.startswith("python -m benchmarks.time_to_beat_ease --check --base")
    assert any("benchmarks/time_to_beat_ease.toml" in str(step.get("run")) for step in job["steps"])
