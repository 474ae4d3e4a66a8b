"""Faults caused on purpose: a short form of every trial, and the page of the recorded ones."""

from __future__ import annotations

import argparse
import os
import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from experiments import hardening
from experiments.faults.bench import (
    Bench,
    ChildError,
    contents,
    digest,
    flipped,
    hostile_texts,
    room,
)
from experiments.hardening import Trial, measure
from experiments.pages.reliability import PAGE
from experiments.records import Records
from m6rec_lite.data.files import DiskFullError, write_text

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and limits of POSIX")

#: Tries of the short form; the others are run for the record alone.
SHORT = {
    "kill_sasrec": 2, "kill_train": 1, "term_gpt": 1, "int_m6rec": 1, "kill_course": 1,
    "offline": 1, "full_disk": 1, "full_disk_download": 2, "bits_checked": 2, "bits_unchecked": 1,
    "malformed": 100, "hostile_prompts": 300, "hostile_pages": 100, "hostile_serving": 100,
    "two_leaderboards": 1, "two_downloads": 2, "two_fits": 1, "two_courses": 1, "numbers": 2,
}  # fmt: skip


#: Losses that are known and recorded: flipped bits in files without checksums.
KNOWN = {"bits_unchecked": "silent"}


@pytest.mark.slow
@pytest.mark.parametrize("name", SHORT)
def test_a_trial_loses_nothing(name: str) -> None:
    report = measure(name, SHORT[name], seed=7, lessons="00")
    lost = {key: n for key, n in report["outcomes"].items() if key.startswith("lost")}
    known = {key: n for key, n in lost.items() if re.search(KNOWN.get(name, "$^"), key)}
    assert lost == known
    tried, survived = report["metrics"]["tried"], report["metrics"]["survived"]
    assert tried == survived + sum(known.values()) >= SHORT[name]


def one_of_three(bench: Bench) -> Iterator[str]:
    yield from ["whole", "lost: a row", "whole"][: bench.tries]


def run(root: Path, *words: str) -> int:
    parser = argparse.ArgumentParser()
    hardening.add_arguments(parser)
    options = parser.parse_args(words)
    options.root, options.again, options.quiet, options.command = root, False, True, "command"
    return hardening.run(options)


def test_outcomes_are_counted_recorded_and_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    trials = {
        "mine": Trial("a fault", one_of_three, 3),
        "other": Trial("a rare fault", one_of_three, 1),
    }
    monkeypatch.setattr(hardening, "TRIALS", trials)
    assert run(tmp_path, "--only", "mine") == 1  # something was lost
    ((_, config, report),) = Records(tmp_path / "results").finished("hardening")
    assert (config["model"], config["variant"]) == ("mine", "tries=3")
    assert report["metrics"] == {"tried": 3, "survived": 2}
    page = (tmp_path / PAGE).read_text()
    assert "| `mine`: a fault | 3 | 2 | a row (1) |" in page
    assert "- `mine`: whole (2)" in page
    assert "- `other`: a rare fault" in page[page.index("## Not run") :]
    assert run(tmp_path, "--only", "mine") == 0
    assert "mine: recorded" in capsys.readouterr().out
    assert run(tmp_path, "--only", "mine", "--tries", "1") == 0
    assert "| 3 | 2 |" in (tmp_path / PAGE).read_text()  # the run of more tries
    assert run(tmp_path, "--only", "mine", "--tries", "2", "--minutes", "-1") == 0
    assert "left for the next call" in capsys.readouterr().out


def test_a_flipped_bit_is_one_bit() -> None:
    whole = bytes(range(256))
    turned = flipped(whole, random.Random(3))
    assert sum((a ^ b).bit_count() for a, b in zip(whole, turned, strict=True)) == 1


def test_no_room_means_that_no_larger_file_can_be_written(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "old")
    with room(10), pytest.raises(DiskFullError, match=r"a\.txt"):
        write_text(tmp_path / "a.txt", "new" * 10)
    assert contents(tmp_path) == {"a.txt": b"old"}
    write_text(tmp_path / "a.txt", "new" * 10)


def test_hostile_texts_repeat_with_their_seed_and_hold_markup_and_controls() -> None:
    texts = hostile_texts(500, seed=1)
    assert texts == hostile_texts(500, seed=1) != hostile_texts(500, seed=2)
    for piece in ("<script>", "[EOS]", "\x00", "\u202e"):
        assert any(piece in text for text in texts)


def test_a_digest_sees_values_and_not_the_order_of_names() -> None:
    assert digest({"a": 1, "b": [2.0]}) == digest({"b": [2.0], "a": 1})
    assert digest({"a": 1, "b": [2.0]}) != digest({"a": 1, "b": [2.5]})


def fails(reason: str) -> None:
    raise ValueError(reason)


@pytest.mark.slow
def test_a_child_tells_why_it_failed(tmp_path: Path) -> None:
    bench = Bench(tmp_path, 1)
    assert bench.call(sorted, [2, 1]) == [1, 2]
    with pytest.raises(ChildError, match="ValueError: no reason"):
        bench.call(fails, "no reason")
    with pytest.raises(ChildError, match="exit code 3"):
        bench.call(os._exit, 3)
