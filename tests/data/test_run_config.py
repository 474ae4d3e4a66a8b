"""Settings of a run: read from a command, recorded once, compared, each difference named."""

import argparse
import json
from dataclasses import asdict, dataclass, field

import pytest

from m6rec_lite.data.run_config import (
    RunConfigError,
    add_config_options,
    check_run_config,
    setting_differences,
)

CONFIG = {"lr": 0.1, "sizes": (1, 2), "data": {"name": "bazaar", "seed": None}}


def test_settings_are_recorded_and_the_same_ones_pass(tmp_path):
    path = tmp_path / "new" / "run.json"
    check_run_config(path, CONFIG, write=False)
    assert not path.exists()
    check_run_config(path, CONFIG)
    before = path.read_bytes()
    check_run_config(path, CONFIG)
    assert path.read_bytes() == before
    assert json.loads(before)["sizes"] == [1, 2]


def test_other_settings_are_refused_and_the_record_stays(tmp_path):
    path = tmp_path / "run.json"
    check_run_config(path, CONFIG)
    before = path.read_bytes()
    other = CONFIG | {"lr": 0.2, "data": {"name": "ml-1m"}}
    with pytest.raises(RunConfigError) as caught:
        check_run_config(path, other, kind="a stream", advice="take another folder")
    assert str(caught.value) == (
        f"{tmp_path} holds a stream of other settings (lr: 0.1 there, 0.2 now; data.name: 'bazaar' "
        "there, 'ml-1m' now; data.seed: None there, absent now): take another folder"
    )
    assert path.read_bytes() == before


@pytest.mark.parametrize("text", ["", "{", "3", "[1]", "\xff"])
def test_a_damaged_record_is_refused(tmp_path, text):
    path = tmp_path / "run.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(RunConfigError, match=r"run\.json is damaged.*delete it"):
        check_run_config(path, CONFIG)
    assert path.read_text(encoding="latin-1") == text


def test_lists_of_dicts_are_compared_by_leaf():
    lines = setting_differences({"g": [{"lr": 1}, {"lr": 2}]}, {"g": [{"lr": 1}]}, where="before")
    assert lines == ["g.1.lr: 2 before, absent now"]
    assert setting_differences(CONFIG, CONFIG) == []


@dataclass
class Settings:
    """One field of each kind."""

    lr: float = field(default=0.1, metadata={"help": "highest rate"})
    steps: int | None = None
    parts: tuple[str, ...] = ("title", "domain")
    items: bool = True
    batch_size: int = 8
    name: str = "a"


def test_a_dataclass_becomes_options():
    parser = argparse.ArgumentParser()
    add_config_options(parser, Settings, skip=("name",))
    read = vars(parser.parse_args([]))
    assert Settings(**read) == Settings()
    assert read.keys() == asdict(Settings()).keys() - {"name"}
    words = ["--lr", "1", "--steps", "3", "--parts", "x", "y", "--no-items", "--batch-size", "2"]
    assert vars(parser.parse_args(words)) == {
        "lr": 1.0, "steps": 3, "parts": ["x", "y"], "items": False, "batch_size": 2
    }  # fmt: skip
    assert "highest rate (default: 0.1)" in parser.format_help()
    with pytest.raises(SystemExit):
        parser.parse_args(["--steps", "many"])
