"""The grid of pretraining runs: each once, interrupted at any time, and the law of its rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from experiments import scaling
from experiments.__main__ import main
from experiments.scaling import describe_law, settings_of
from m6rec_lite.data.bazaar import generate
from m6rec_lite.m6rec import pretraining
from m6rec_lite.m6rec.config import shape_of
from m6rec_lite.m6rec.cost.scaling import ScalingLaw
from m6rec_lite.training.signals import Interrupted

GRID = [
    "--sizes",
    "1x32",
    "1x64",
    "1x96",
    "--tokens",
    "4e3",
    "8e3",
    "16e3",
    "--lines",
    "4",
    "--quiet",
]
GRID += ["--device", "cpu"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("project")


@pytest.fixture(scope="module")
def patched(root: Path):
    world = generate(users=100, items=100, seed=3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pretraining, "load_dataset", lambda name: world)
        yield patch


@pytest.fixture(scope="module")
def table(root: Path, patched: pytest.MonkeyPatch) -> pd.DataFrame:
    """Of a grid that was cut off after two runs and gone on with."""
    real, begun = scaling.pretrain, []

    def watched(settings: Any, *args: Any, **kwargs: Any) -> Any:
        begun.append(settings.size)
        if len(begun) == 3:
            raise Interrupted(143)
        return real(settings, *args, **kwargs)

    patched.setattr(scaling, "pretrain", watched)
    with pytest.raises(Interrupted):
        main(["scaling", *GRID, "--root", str(root)])
    assert len(pd.read_csv(root / "results" / "scaling" / "bazaar.csv")) == 2
    assert main(["scaling", *GRID, "--root", str(root)]) == 0
    assert len(begun) == 3 + 7  # the two that were finished are not run again
    assert main(["scaling", *GRID, "--root", str(root)]) == 0
    assert len(begun) == 3 + 7
    return pd.read_csv(root / "results" / "scaling" / "bazaar.csv")


@pytest.mark.slow
def test_every_size_is_run_to_the_end_of_every_length(table: pd.DataFrame) -> None:
    assert list(zip(table["size"], table["tokens"], strict=True)) == [
        (size, tokens) for tokens in (4e3, 8e3, 16e3) for size in ("1x32", "1x64", "1x96")
    ]
    assert table["parameters"].nunique() == 3
    np.testing.assert_allclose(table["tokens read"], table["tokens"], rtol=0.25)
    both = (table["infilling nats"] + table["sentence nats"]) / 2
    np.testing.assert_allclose(table["loss"], both, rtol=1e-4)
    assert table["loss"].between(1, np.log(4096) + 1).all()
    wide = table[table["size"] == "1x64"]
    np.testing.assert_allclose(wide["lr"].unique(), 3e-3 * 96 / 64)
    assert table["command"].str.contains("--sizes 1x32 1x64 1x96").all()


@pytest.mark.slow
def test_the_tokens_are_made_once(table: pd.DataFrame, root: Path) -> None:
    runs = root / "runs" / "scaling" / "bazaar" / "seed0"
    files = sorted(runs.glob("1x*/tokens/*/*.bin"))
    names = {path.relative_to(path.parents[2]) for path in files}
    assert {name.parent.name for name in names} == {"train", "held-out"}
    for name in names:
        copies = [path.read_bytes() for path in runs.glob(f"1x*/{name}")]
        assert len(copies) == 9
        assert len(set(copies)) == 1, name


def test_a_law_of_rows_that_keep_one(capsys: pytest.CaptureFixture[str]) -> None:
    law = ScalingLaw(0.2, 40.0, 0.35, 300.0, 0.4)
    n, d = (x.ravel() for x in np.meshgrid([1e5, 3e5, 9e5, 2e6], [1e6, 3e6, 9e6]))
    rows = pd.DataFrame({"parameters": n, "tokens read": d, "loss": law.loss(n, d)})
    lines = describe_law(rows, samples=2)
    assert "N^0.350" in lines[0]
    assert "mean error 0.0% over 12 runs, at most 0.0%" in lines[1]
    assert "without the largest size: error" in lines[2]
    assert abs(float(lines[2].split("error ")[1].split("%")[0])) < 0.1
    assert f"{law.loss(306_505_728, 20 * 306_505_728):.3f} nats" in lines[3]
    assert "predicted, not measured" in lines[3]


def test_bad_input_is_refused_before_any_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scaling", "--sizes", "3by64"]) == 2
    assert "layers x width" in capsys.readouterr().err


@pytest.mark.parametrize("size", ["0x32", "2x33", "x", "2x", "huge", "2x-32", ""])
def test_what_is_no_size_is_refused(size: str) -> None:
    with pytest.raises(ValueError, match="size must be one of nano"):
        shape_of(size)


def test_a_size_in_numbers() -> None:
    assert shape_of("3x96") == {
        "hidden_size": 96,
        "num_hidden_layers": 3,
        "num_attention_heads": 3,
        "max_position_embeddings": 128,
    }
    options = {"data": "bazaar", "lr": 3e-3, "lines": 16, "tokenizer": None, "seed": 0}
    assert settings_of("4x128", 1e6, **options).lr == 0.00225
    assert settings_of("4x128", 1, **options).steps == 1
