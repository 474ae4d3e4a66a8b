"""The table of the checks of the exercises: what is counted, and its sums."""

from __future__ import annotations

import pandas as pd

from experiments.exercise_checks import count, page
from m6rec_lite.course.paths import project_root


def test_the_wrong_answers_of_an_exercise_are_counted(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("M6REC_SCALE", "smoke")
    monkeypatch.setenv("M6REC_RUN", str(tmp_path))
    numbers = count("hit_rate", project_root())
    assert numbers["mutants"] > 10
    assert numbers["survivors"] == 0
    assert numbers["named"] == numbers["rejected mistakes"] == numbers["mistakes"] >= 5


def test_the_score_leaves_out_equivalent_mutants() -> None:
    columns = [
        "lesson",
        "exercise",
        "mutants",
        "equivalent",
        "survivors",
        "mistakes",
        "rejected_",
        "named",
    ]
    rows = [("00", "a", 12, 2, 1, 4, 4, 3), ("00", "b", 0, 0, 0, 1, 1, 1), ("01", "c", *[0] * 6)]
    frame = pd.DataFrame(rows, columns=columns).rename(columns={"rejected_": "rejected mistakes"})
    lines = [line.replace(" ", "") for line in page(frame).splitlines() if line.startswith("|")]
    assert lines[2:] == [
        "|00|2|12|2|90.0%|5|5|80.0%|",
        "|01|1|0|0|–|0|0|–|",
        "|all|3|12|2|90.0%|5|5|80.0%|",
    ]
