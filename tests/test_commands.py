"""Programs of the command line print what is wrong, and no traceback."""

from __future__ import annotations

from importlib import import_module

import pytest

PROGRAMS = {
    "m6rec_lite.data": ["{none}"],
    "m6rec_lite.data.bazaar": ["--users", "-5", "--out", "{out}"],
    "m6rec_lite.course": ["check", "{none}.ipynb"],
    "m6rec_lite.language.models.pretraining": ["gpt", "--dataset", "{none}", "--out", "{out}"],
    "m6rec_lite.m6rec.pretraining": ["--data", "{none}", "--out", "{out}", "--quiet"],
    "m6rec_lite.m6rec.train": ["--data", "{none}", "--out", "{out}", "--quiet"],
    "m6rec_lite.m6rec.cost.budget": ["--size", "huge"],
    "experiments": ["nothing"],
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_wrong_argument_ends_with_a_message(program, tmp_path, capsys):
    module = import_module(program)
    if hasattr(module, "__path__"):
        module = import_module(f"{program}.__main__")
    names = {"none": tmp_path / "nowhere", "out": tmp_path / "out"}
    try:
        status = module.main([word.format(**names) for word in PROGRAMS[program]])
    except SystemExit as error:
        status = error.code
    said = capsys.readouterr().err
    assert status in (1, 2)
    assert said.strip()
    assert "Traceback" not in said


def test_seeds_of_commands_have_the_rule_too(tmp_path, capsys):
    module = import_module("m6rec_lite.language.models.pretraining")
    with pytest.raises(SystemExit) as error:
        module.main(["gpt", "--seed", "-1", "--out", str(tmp_path / "gpt")])
    assert error.value.code == 2
    assert "seed must be a whole number" in capsys.readouterr().err
