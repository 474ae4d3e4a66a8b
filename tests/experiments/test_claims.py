"""Registered claims: their files, verdicts from records, the page, and the order in git."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.__main__ import main
from experiments.claim_rules import (
    FAILS,
    HOLDS,
    NOT_RUN,
    UNDECIDED,
    Condition,
    RunPattern,
    judge,
    read_claim,
    verdict,
)
from experiments.claims import judge_claims, late_claims, page
from experiments.records import RANKS, Records, RunKey
from m6rec_lite.course.build.lesson_form import read_claim_rows
from m6rec_lite.course.paths import chapters, project_root

ROOT = project_root()

CLAIM = """claim = "Ours is better than theirs."
datasets = ["walks"]
seeds = [0, 1, 2]
[[conditions]]
comparison = "difference"
metric = "auc"
threshold = -0.01
ours = { experiment = "trial", model = "ours", variant = "epochs=5 *" }
rival = { experiment = "trial", model = "theirs" }
"""


def write_claim(root: Path, text: str = CLAIM, **changes: str) -> Path:
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    path = root / "claims" / "better.toml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def replaced(root: Path, old: str, new: str) -> Path:
    return write_claim(root, **{old: new})


def add_run(
    root: Path, model: str, seed: int, auc: float | None, variant: str = "", *, mask: bool = True
) -> str:
    records = Records(root / "results")
    key = RunKey("trial", "walks", model, variant, seed)
    records.start(key, command="make it", split_hash="abc", settings={"mask": mask})
    records.finish(key, {"metrics": {} if auc is None else {"auc": auc}, "costs": {"ms": 2.0}})
    return key.id


def add_runs(root: Path, ours: list[float], theirs: list[float], *, mask: bool = True) -> None:
    for seed, (our, their) in enumerate(zip(ours, theirs, strict=True)):
        add_run(root, "ours", seed, our, "epochs=5 lr=0.1", mask=mask)
        add_run(root, "theirs", seed, their, mask=mask)


def result_of(root: Path, path: Path) -> tuple[str, str]:
    results = judge(read_claim(path), Records(root / "results"))
    return verdict(results), results[0].estimate


# ------------------------------------------------------------------------------- the rules


@pytest.mark.parametrize(
    ("ours", "expected"),
    [
        ([0.800, 0.801, 0.799], HOLDS),
        ([0.780, 0.781, 0.779], FAILS),
        ([0.760, 0.830, 0.790], UNDECIDED),  # the mean is above -0.01, the interval is wide
    ],
)
def test_a_difference_is_judged_by_its_interval_over_seeds(
    tmp_path: Path, ours: list[float], expected: str
) -> None:
    add_runs(tmp_path, ours, [0.8, 0.8, 0.8])
    assert result_of(tmp_path, write_claim(tmp_path))[0] == expected


def test_the_interval_is_student_s_over_paired_seeds(tmp_path: Path) -> None:
    add_runs(tmp_path, [0.81, 0.72, 0.93], [0.80, 0.70, 0.90])
    half = 4.302653 * 0.01 / np.sqrt(3)  # differences .01, .02, .03; t of two degrees of freedom
    low, high = 0.02 - half, 0.02 + half
    assert result_of(tmp_path, write_claim(tmp_path))[1] == f"0.0200 [{low:.4f}, {high:.4f}]"


def test_a_ratio_subtracts_chance_from_both(tmp_path: Path) -> None:
    add_runs(tmp_path, [0.74, 0.74, 0.74], [0.75, 0.75, 0.75])
    rule = {"difference": "ratio", "threshold = -0.01": "threshold = 0.97"}
    assert result_of(tmp_path, write_claim(tmp_path, **rule)) == (HOLDS, "0.9867 [0.9867, 0.9867]")
    rule["threshold = -0.01"] = "threshold = 0.97\nchance = 0.5"
    assert result_of(tmp_path, write_claim(tmp_path, **rule)) == (FAILS, "0.9600 [0.9600, 0.9600]")
    rule["threshold = -0.01"] = "threshold = 0.97\nchance = 0.8"
    with pytest.raises(ValueError, match=r"rival above 0\.8"):
        result_of(tmp_path, write_claim(tmp_path, **rule))


def add_ranks(root: Path, run_id: str, ranks: np.ndarray) -> None:
    np.savez(
        root / "results" / "runs" / run_id / RANKS,
        user_ids=np.arange(len(ranks)),
        above=ranks,
        tied=np.ones(len(ranks), dtype=int),
        n_items=50,
    )


def test_ranks_are_compared_over_users_for_each_seed(tmp_path: Path) -> None:
    ranks = np.random.default_rng(0).integers(0, 12, 200)
    add_ranks(tmp_path, add_run(tmp_path, "theirs", 0, 0.5), ranks)
    for seed, better in enumerate([3, 2, -3]):
        run_id = add_run(tmp_path, "ours", seed, 0.5, "epochs=5 lr=0.1")
        add_ranks(tmp_path, run_id, np.clip(ranks - better, 0, None))
    path = write_claim(
        tmp_path,
        **{"difference": "paired_ndcg", '"auc"': '"ndcg@10"', '"theirs"': '"theirs", seed = 0'},
    )
    path.write_text(path.read_text().replace("-0.01", "0.0"))
    results = judge(read_claim(path), Records(tmp_path / "results"))
    assert [(r.seeds, r.outcome) for r in results] == [("0", HOLDS), ("1", HOLDS), ("2", FAILS)]
    assert verdict(results) == FAILS
    assert len({r.rival for r in results}) == 1


def test_a_mean_is_compared_with_a_published_value(tmp_path: Path) -> None:
    ranks = np.random.default_rng(0).integers(0, 12, 400)
    values = np.where(ranks < 10, 1 / np.log2(ranks + 2), 0)
    half = 1.9659 * values.std(ddof=1) / 20  # t of 399 degrees of freedom
    published = {"-0.01": f"{values.mean() - 0.9 * half:.5f}", "[0, 1, 2]": "[0]"}
    path = write_claim(tmp_path, **published, difference="mean_ndcg", auc="ndcg@10")
    path.write_text(path.read_text().replace("rival =", "# rival ="))
    assert judge(read_claim(path), Records(tmp_path / "results"))[0].outcome == NOT_RUN
    add_ranks(tmp_path, add_run(tmp_path, "ours", 0, 0.5, "epochs=5 lr=0.1"), ranks)
    (result,) = judge(read_claim(path), Records(tmp_path / "results"))
    low, high = values.mean() - half, values.mean() + half
    assert (result.outcome, result.rival) == (UNDECIDED, ())
    assert result.estimate == f"{values.mean():.4f} [{low:.4f}, {high:.4f}]"
    path.write_text(path.read_text().replace(published["-0.01"], f"{values.mean() - 1.1 * half}"))
    assert judge(read_claim(path), Records(tmp_path / "results"))[0].outcome == HOLDS


@settings(deadline=None)
@given(st.floats(-1, 1), st.floats(0, 1), st.floats(-1, 1))
def test_the_two_sides_never_hold_together(low: float, width: float, threshold: float) -> None:
    run = RunPattern("trial", "a")
    above, below = (
        Condition(run, "difference", threshold, run, "auc", side).outcome(low, low + width)
        for side in ("above", "below")
    )
    assert {above, below} in ({HOLDS, FAILS}, {UNDECIDED})
    assert (above == UNDECIDED) == (low <= threshold <= low + width)


# ------------------------------------------------------------------ what is missing or wrong


def test_a_claim_without_all_of_its_records_is_not_run(tmp_path: Path) -> None:
    path = write_claim(tmp_path)
    assert result_of(tmp_path, path)[0] == NOT_RUN
    add_runs(tmp_path, [0.9, 0.9], [0.8, 0.8])
    outcome, missing = result_of(tmp_path, path)
    assert outcome == NOT_RUN
    assert missing == "no record of trial, walks, 'theirs', '', seed 2"


def test_a_record_without_the_metric_is_named(tmp_path: Path) -> None:
    add_runs(tmp_path, [0.9, 0.9, 0.9], [0.8, 0.8, 0.8])
    with pytest.raises(ValueError, match="has no 'f1'; it has ms, auc"):
        result_of(tmp_path, replaced(tmp_path, '"auc"', '"f1"'))
    assert result_of(tmp_path, replaced(tmp_path, '"auc"', '"ms"'))[1].startswith("0.0000 ")
    ranked = write_claim(tmp_path, **{"difference": "paired_ndcg", '"auc"': '"ndcg@10"'})
    outcome, why = result_of(tmp_path, ranked)  # as a run older than the file of ranks
    assert outcome == NOT_RUN
    assert why.endswith("has no ranks; its command with --again keeps them")


def test_a_pattern_that_matches_two_runs_is_refused(tmp_path: Path) -> None:
    add_runs(tmp_path, [0.9, 0.9, 0.9], [0.8, 0.8, 0.8])
    add_run(tmp_path, "ours", 1, 0.7, "epochs=5 lr=0.2")
    with pytest.raises(ValueError, match="make the patterns narrower"):
        result_of(tmp_path, write_claim(tmp_path))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seeds =", "sedes =", "the claim has no field sedes; there are name, claim, datasets"),
        ('metric = "auc"', 'metrics = "auc"', "condition 1 has no field metrics"),
        ("rival =", "# rival =", "mean_ndcg has no rival, and every other comparison needs one"),
        ("model = \"theirs\" }", "modle = \"theirs\" }", "condition 1, rival has no field modle"),
        ("threshold = -0.01\n", "", "condition 1 lacks threshold"),
        ("difference", "better", "comparison must be one of"),
        ("difference", "paired_ndcg", "reads ndcg@k; got the metric 'auc'"),
        ("difference", "mean_ndcg", "mean_ndcg reads ndcg@k"),
        ('difference"\nmetric = "auc"', 'mean_ndcg"', "mean_ndcg has no rival"),
        ("[0, 1, 2]", "[0]", "at least two seeds"),
        ("[0, 1, 2]", "[]", "seeds must not be empty"),
        ("[0, 1, 2]", "[0, 1]\nrecorded_before = [2]", r"recorded_before has \[2\]"),
        ("[0, 1, 2]", "[0, 1]\nrecorded_before = [0, 1]", "every seed was recorded before"),
        ("-0.01", '-0.01\nside = "up"', "side must be"),
        ("-0.01", "-0.01\nchance = 0.5", "subtracted in a ratio only"),
        ("claim =", "claim", "Expected '='"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        read_claim(replaced(tmp_path, old, new))
    assert str(error.value).startswith("claims/better.toml: ")


# ------------------------------------------------------------------------ page and order in git


def git(root: Path, *arguments: str, time: int = 0) -> None:
    date = f"2020-01-01T00:00:{time:02d}Z"
    who = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a"}
    who |= {"GIT_COMMITTER_EMAIL": "a@b", "GIT_COMMITTER_DATE": date, "HOME": str(root)}
    command = ["git", "-c", "commit.gpgsign=false", *arguments]
    subprocess.run(command, cwd=root, check=True, capture_output=True, env={**who, "PATH": PATH})


PATH = "/usr/local/bin:/usr/bin:/bin"


def commit(root: Path, time: int) -> None:
    git(root, "add", "-A")
    git(root, "commit", "-m", "more", time=time)


def test_a_run_that_is_older_than_its_claim_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    git(tmp_path, "init")
    path = write_claim(tmp_path)
    commit(tmp_path, 1)
    add_runs(tmp_path, [0.9, 0.9, 0.9], [0.8, 0.8, 0.8])
    assert main(["claims", "--root", str(tmp_path)]) == 0  # not committed yet
    commit(tmp_path, 2)
    assert main(["claims", "--root", str(tmp_path)]) == 0
    path.write_text(path.read_text().replace("-0.01", "-0.02"))
    commit(tmp_path, 3)
    capsys.readouterr()
    assert main(["claims", "--root", str(tmp_path)]) == 1
    shown = capsys.readouterr()
    assert shown.out == "better: holds\n"
    assert shown.err.count("was not committed before run") == 3  # ours, not the rival's
    path.write_text(path.read_text().replace("[0, 1, 2]", "[0, 1, 2]\nrecorded_before = [0, 1]"))
    assert main(["claims", "--root", str(tmp_path)]) == 1
    assert "(seed 2)" in capsys.readouterr().err


@pytest.mark.parametrize(("mask", "late"), [(True, 3), (False, 0)])
def test_a_record_made_again_counts_from_the_first_with_its_settings(
    tmp_path: Path, mask: bool, late: int, capsys: pytest.CaptureFixture[str]
) -> None:
    git(tmp_path, "init")
    add_runs(tmp_path, [0.9, 0.9, 0.9], [0.8, 0.8, 0.8])  # with the mask
    commit(tmp_path, 1)
    shutil.rmtree(tmp_path / "results")
    commit(tmp_path, 2)
    write_claim(tmp_path)
    commit(tmp_path, 3)
    add_runs(tmp_path, [0.9, 0.9, 0.9], [0.8, 0.8, 0.8], mask=mask)
    assert main(["claims", "--root", str(tmp_path)]) == 0  # not committed yet
    commit(tmp_path, 4)
    assert main(["claims", "--root", str(tmp_path)]) == bool(late)
    assert capsys.readouterr().err.count("was not committed before run") == late


def test_the_command_writes_the_page_and_the_records_of_a_claim(tmp_path: Path) -> None:
    write_claim(tmp_path)
    add_runs(tmp_path, [0.9, 0.9, 0.9], [0.8, 0.8, 0.8])
    rows = tmp_path / "docs" / "claims.csv"
    rows.parent.mkdir()
    rows.write_text(
        "id,lesson,sentence,command,records,seeds,verdict\nbetter,20,It is.,python,,,\n"
        "other,20,So.,python,a b,,\nseen,20,Look.,python,,,\n"
    )
    assert main(["claims", "--root", str(tmp_path)]) == 0
    shown = (tmp_path / "docs" / "claims.md").read_text()
    assert "## better: holds\n\nOurs is better than theirs.\n" in shown
    assert "| auc: `ours (epochs=5 *)` - `theirs` | walks | 0, 1, 2 | above -0.01 |" in shown
    filled = read_claim_rows(tmp_path).set_index("id")
    assert len(filled.loc["better", "records"].split()) == 6
    assert filled.loc["other", "records"] == "a b"
    assert filled["seeds"].tolist() == ["0 1 2", "", "those of the lesson"]
    assert filled["verdict"].tolist() == ["holds", "not registered", "not registered"]


# ------------------------------------------------------------------------------ this project


def test_the_registered_claims_are_judged_and_the_page_is_current() -> None:
    judged = judge_claims(ROOT)
    assert len(judged) >= 4
    assert (ROOT / "docs" / "claims.md").read_text(encoding="utf-8") == page(judged), (
        "run: python -m experiments claims"
    )
    assert [fault for claim, results in judged for fault in late_claims(ROOT, claim, results)] == []


def test_every_row_of_claims_has_its_lesson_command_and_records() -> None:
    rows = read_claim_rows(ROOT)
    lessons = {path.name[:2] for path in chapters(ROOT / "notebooks")}
    assert set(rows["lesson"]) <= lessons
    assert rows["command"].str.match(r"python -m |make ").all()
    index = {path.name for path in (ROOT / "results" / "runs").iterdir()}
    assert set(" ".join(rows["records"]).split()) <= index
    assert (rows["seeds"] != "").all(), "run: python -m experiments claims"
    verdicts = {claim.name: verdict(results) for claim, results in judge_claims(ROOT)}
    registered = rows[rows["id"].isin(list(verdicts))]
    assert registered["verdict"].tolist() == [verdicts[name] for name in registered["id"]]
    assert len(registered) > 10
