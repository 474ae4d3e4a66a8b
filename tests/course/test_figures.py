"""Figures: the road map shows every module and says in words where the reader is."""

import matplotlib.pyplot as plt
import pytest

from m6rec_lite.course.figures import MODULES, plot_roadmap
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
def test_the_map_names_the_lesson_and_all_modules(here):
    fig, text = plot_roadmap(here)
    assert text.endswith(f"You are in lesson {here}.")
    assert all(topic in text for topic in MODULES.values())
    filled = [y for y, box in enumerate(fig.axes[0].patches) if box.get_facecolor()[0] < 0.5]
    (first, last), *_ = (list(MODULES)[y] for y in filled)
    assert len(filled) == 1
    assert first <= int(here) <= last


def test_modules_follow_each_other_and_each_has_lessons():
    ends = [end for module in MODULES for end in module]
    assert ends[0] == 0
    assert all(after == before + 1 for before, after in zip(ends[1:-1:2], ends[2::2], strict=True))
    for (first, last), topic in MODULES.items():
        assert {*range(first, last + 1)} & {int(number) for number in CHAPTERS}, topic


def test_the_text_of_each_module_lies_inside_its_box():
    fig, _ = plot_roadmap("00")
    ax = fig.axes[0]
    fig.canvas.draw()
    topics = [text for text in ax.texts if text.get_text() in MODULES.values()]
    assert len(topics) == len(MODULES)
    for topic, box in zip(topics, ax.patches, strict=True):
        assert topic.get_window_extent().x1 <= box.get_window_extent().x1
    for number, topic in zip(ax.texts[::2], ax.texts[1::2], strict=True):
        assert number.get_window_extent().x1 < topic.get_window_extent().x0


@pytest.mark.parametrize("here", ["35", "99", "5", "welcome", ""])
def test_an_unknown_lesson_is_refused(here):
    with pytest.raises(ValueError, match="no module holds lesson"):
        plot_roadmap(here)


def test_the_same_figure_gives_the_same_bytes_and_another_lesson_others():
    first, again, other = (png_bytes(plot_roadmap(here)[0]) for here in ("10", "10", "00"))
    assert first == again
    assert first != other
