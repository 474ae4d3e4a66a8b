"""Figures: the map knows every chapter of the course and says in words where the reader stands."""

import matplotlib.pyplot as plt
import pytest

from m6rec_lite.course.figures import STEPS, png, roadmap


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.mark.parametrize("number", range(20))
def test_every_chapter_stands_on_one_step_of_the_map(number):
    here = f"{number:02d}"
    _, text = roadmap(here)
    step = text.rsplit("step ", 1)[1].rstrip(".")
    assert step in STEPS
    assert step[:2] <= here <= step[-2:]
    assert all(idea in text for idea in STEPS.values())


@pytest.mark.parametrize("here", ["20", "5", "welcome", ""])
def test_a_chapter_that_is_not_there_is_told(here):
    with pytest.raises(ValueError, match="no step holds chapter"):
        roadmap(here)


def test_the_same_figure_gives_the_same_bytes_and_another_step_others():
    first, again, other = (png(roadmap(here)[0]) for here in ("05", "04", "00"))
    assert first == again
    assert first != other
