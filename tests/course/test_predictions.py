"""Predictions: stored before, kept once measured; and exercises that compare with them."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from m6rec_lite import course
from m6rec_lite.course.exercises.engine import CORRECT, INCORRECT, NOT_ATTEMPTED, Case, KnownWrong
from m6rec_lite.course.open_exercise import OpenExercise

ONE = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False), st.integers(), st.booleans(), st.text()
)


@pytest.fixture(autouse=True)
def run_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("M6REC_RUN", str(tmp_path))
    return tmp_path


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(value=st.one_of(ONE, st.lists(ONE, min_size=1, max_size=4)), number=st.integers(0, 10**9))
def test_what_is_stored_is_read_back(value, number):
    name = f"20.{number}"
    if course.predict(name) is None:
        assert course.predict(name, value) == value
        assert course.predict(name) == value


def test_a_prediction_can_be_changed_until_it_is_measured(run_folder, capsys):
    course.predict("20.share", 0.5)
    course.predict("20.share", 0.01)
    course.compare_prediction("20.share", 0.008)
    assert course.predict("20.share", 0.008) == course.predict("20.share") == 0.01
    course.predict("20.share", 0.01)  # the cell is run again
    (_, changed, compared, kept, again) = capsys.readouterr().out.splitlines()
    assert "0.01 (before: 0.5)" in changed
    assert compared == "Predicted 0.01, measured 0.008: too high, by 25% of the measurement."
    assert "stays 0.01" in kept
    assert "delete predictions/20.share.json" in kept
    assert again == "Prediction 20.share: 0.01"
    (run_folder / "predictions" / "20.share.json").unlink()
    assert course.predict("20.share") is None


@pytest.mark.parametrize(
    ("value", "measured", "words"),
    [
        (100, np.float32(104), "measured 104: close, by 4%"),
        (2.0, 4, "too low, by 50%"),
        (-3.0, -2.0, "too low, by 50%"),
        (0.5, 0, "off by 0.5"),
        (["LoRA", "head"], ["LoRA", "head"], "as predicted"),
        (["head", "LoRA"], ["LoRA", "head"], "Predicted head, LoRA, measured LoRA, head: not as"),
        (True, False, "not as predicted"),
        ("full", 3.0, "not as predicted"),
        (np.array([1, 2]), (1, 2), "as predicted"),
    ],
)
def test_both_values_are_compared_in_words(value, measured, words, capsys):
    course.predict("x", value)
    course.compare_prediction("x", measured)
    assert words in capsys.readouterr().out.splitlines()[-1]


def test_without_a_prediction_the_measurement_is_shown_and_not_stored(run_folder, capsys):
    course.compare_prediction("x", 3)
    assert capsys.readouterr().out == "Measured 3. No prediction x was stored before.\n"
    assert course.predict("x", ...) is None
    assert "to do" in capsys.readouterr().out
    assert not list(run_folder.rglob("*.json"))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"a": 1}, [None], b"x"])
def test_other_values_are_refused(value):
    with pytest.raises(ValueError, match="'x' must be a finite number, a text, True or False"):
        course.predict("x", value)


@pytest.mark.parametrize("name", ["", "a/b", "..\\x", 17])
def test_a_name_must_be_a_file_name(name):
    with pytest.raises(ValueError, match="letters, digits"):
        course.predict(name, 1)


def test_a_damaged_file_is_refused(run_folder):
    course.predict("x", 1)
    (run_folder / "predictions" / "x.json").write_text("{")
    with pytest.raises(ValueError, match="damaged"):
        course.predict("x")


DECLARED = OpenExercise(
    id="twice",
    title="Twice",
    cases=(Case(args=(2,), expected=4), Case(args=(3,), expected=6)),
    known_wrong=(KnownWrong(lambda n: n * n, "That is the square, not twice the number."),),
    hints=("Add.",),
    notice="Linear.",
    measured=lambda answer: answer(50),
    example=100,
)


def test_an_open_exercise_compares_a_right_measurement_with_the_prediction():
    course.predict("twice", 80)
    verdict = DECLARED.grade(lambda n: n + n)
    assert verdict.outcome == CORRECT
    assert verdict.message == (
        "Predicted 80, measured 100: too low, by 20% of the measurement. Linear."
    )
    assert course.predict("twice", 100) == 80, "once measured, a prediction stays"


def test_a_wrong_measurement_and_a_missing_prediction_reveal_nothing():
    verdict = DECLARED.grade(lambda n: n + n)
    assert verdict.outcome == NOT_ATTEMPTED
    assert 'course.predict("twice", …)' in verdict.message
    assert "100" not in str(verdict)
    course.predict("twice", 80)
    wrong = DECLARED.grade(lambda n: n * n)
    assert wrong.outcome == INCORRECT
    assert "square" in wrong.message
    assert course.predict("twice", 90) == 90, "nothing was measured, so it may be changed"
    assert DECLARED.grade(...).outcome == NOT_ATTEMPTED
