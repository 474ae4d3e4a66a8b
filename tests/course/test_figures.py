"""Figures: the map knows every chapter of the course and says in words where the reader stands."""

import matplotlib.pyplot as plt
import pytest

from m6rec_lite.course.figures import STEPS, plot_roadmap
from m6rec_lite.course.paths import project_root
from m6rec_lite.data.files import png_bytes


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


CHAPTERS = sorted(
    path.name[:2] for path in (project_root() / "notebooks").glob("[0-9][0-9]_*.ipynb")
)


@pytest.mark.parametrize("here", CHAPTERS)
def test_every_chapter_stands_on_one_step_of_the_map(here):
    _, text = plot_roadmap(here)
    step = text.rsplit("step ", 1)[1].rstrip(".")
    assert step in STEPS
    assert step[:2] <= here <= step[-2:]
    assert all(idea in text for idea in STEPS.values())


def test_the_map_shows_only_chapters_that_exist():
    assert [number for step in STEPS for number in step.split(", ")] == CHAPTERS


def test_the_text_of_each_step_lies_inside_its_box():
    fig, _ = plot_roadmap("00")
    ax = fig.axes[0]
    fig.canvas.draw()
    ideas = [text for text in ax.texts if text.get_text() in STEPS.values()]
    assert len(ideas) == len(STEPS)
    for idea, box in zip(ideas, ax.patches, strict=True):
        assert idea.get_window_extent().x1 <= box.get_window_extent().x1
    for number, idea in zip(ax.texts[::2], ax.texts[1::2], strict=True):
        assert number.get_window_extent().x1 < idea.get_window_extent().x0


@pytest.mark.parametrize("here", ["02", "09", "20", "5", "welcome", ""])
def test_a_chapter_that_is_not_there_is_told(here):
    with pytest.raises(ValueError, match="no step holds lesson"):
        plot_roadmap(here)


def test_the_same_figure_gives_the_same_bytes_and_another_step_others():
    first, again, other = (png_bytes(plot_roadmap(here)[0]) for here in ("10", "08", "00"))
    assert first == again
    assert first != other
