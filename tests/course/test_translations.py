"""Pages called complete have a Chinese string for each English one, and no other."""

import re

import pytest

from book import translations
from book.translations import COMPLETE, read_catalogue, status

for package in ("myst_nb", "sphinx_book_theme"):
    pytest.importorskip(package, reason="needs the extra book")

pytestmark = [pytest.mark.extra, pytest.mark.xdist_group("book")]

ROLE = re.compile(r"\{\w+\}`[^`]*`")
CODE = re.compile(r"`[^`]*`|\$[^$]*\$|\]\([^)]*\)")


@pytest.fixture(scope="module")
def templates(tmp_path_factory):
    """The strings of today's pages."""
    out = tmp_path_factory.mktemp("gettext")
    translations.extract(out)
    return out


@pytest.mark.parametrize("page", COMPLETE)
def test_no_string_is_missing_or_stale(templates, page):
    stored = read_catalogue(translations.CATALOGUES / f"{page}.po")
    strings = {message.id for message in stored if message.id}
    wanted = {message.id for message in read_catalogue(templates / f"{page}.pot") if message.id}
    assert wanted - strings == set(), "run `make translations`, then translate the new strings"
    assert strings - wanted == set(), "run `make translations`"
    done, total = status(stored)
    assert done == total


@pytest.mark.parametrize("page", COMPLETE)
def test_a_translation_keeps_code_formulas_and_links(page):
    for message in read_catalogue(translations.CATALOGUES / f"{page}.po"):
        english, chinese = (ROLE.sub("", text) for text in (message.id, message.string))
        if message.id:
            assert sorted(CODE.findall(chinese)) == sorted(CODE.findall(english))


@pytest.mark.parametrize("page", COMPLETE)
def test_bold_and_italic_marks_can_be_parsed(page):
    """A closing mark behind punctuation needs a space or punctuation after it (CommonMark)."""
    for message in read_catalogue(translations.CATALOGUES / f"{page}.po"):
        text = re.sub(r"`[^`]*`|\$[^$]*\$", "x", str(message.string))
        for inside, after in re.findall(r"\*\*(.+?)\*\*(?=(.?))", text):
            assert not (re.search(r"[^\w\s]$", inside) and re.match(r"\w", after)), text
