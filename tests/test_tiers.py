"""Every test runs in exactly one of the two tiers, ``make test`` and ``make test-slow``."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest

from tests.conftest import SLOW_TIER

ROOT = Path(__file__).resolve().parents[1]


def tiers() -> dict[str, str]:
    """The marker expression of each target of the Makefile that runs pytest."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    recipes = dict(re.findall(r"^([\w-]+): \$\(READY\).*\n((?:\t.*\n)+)", text, re.MULTILINE))
    lines = {name: re.search(r"-m pytest (.*)", recipe) for name, recipe in recipes.items()}
    result = {name: re.search(r'-m ("[^"]*"|\w+)', line[1]) for name, line in lines.items() if line}
    return {name: expression[1].strip('"') for name, expression in result.items()}


def test_every_combination_of_markers_belongs_to_one_tier(pytestconfig: pytest.Config) -> None:
    assert set(tiers()) == {"test", "test-slow"}
    markers = {line.partition(":")[0].partition("(")[0] for line in pytestconfig.getini("markers")}
    ours = sorted(markers & {"slow", "notebook", *SLOW_TIER})
    assert len(ours) == 5
    for chosen in itertools.product([False, True], repeat=len(ours)):
        flags = dict(zip(ours, chosen, strict=True))
        runs = [eval(expression, {}, flags) for expression in tiers().values()]
        assert runs.count(True) == 1, flags
    assert "-m" not in pytestconfig.getini("addopts")


def test_the_automatic_check_runs_both_tiers() -> None:
    lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert [f"make {tier}" for tier in tiers()] == [line for line in lines if line[:5] == "make "]


def test_what_a_machine_may_lack_is_in_the_slow_tier(request: pytest.FixtureRequest) -> None:
    """The hook of ``conftest.py`` has marked whatever this run collected."""
    for item in request.session.items:
        if any(item.get_closest_marker(name) for name in SLOW_TIER):
            assert item.get_closest_marker("slow"), item.nodeid


def test_every_file_with_tests_is_collected() -> None:
    for path in (ROOT / "tests").rglob("*.py"):
        holds = re.search(r"^def test_", path.read_text(encoding="utf-8"), re.MULTILINE)
        assert bool(holds) == path.name.startswith("test_"), path


def test_folders_of_tests_are_those_of_the_package() -> None:
    """``contracts`` and the experiments apart; ``exercises`` holds answers, not tests."""
    folders = {
        path.parent.relative_to(ROOT / "tests") for path in (ROOT / "tests").rglob("test_*.py")
    }
    for folder in folders - {Path("."), Path("contracts"), Path("experiments")}:
        assert (ROOT / "m6rec_lite" / folder).is_dir(), folder
