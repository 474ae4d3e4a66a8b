"""Write the results of a whole run of M6-Rec: metrics, speed, and the model's card."""

from __future__ import annotations

import json
import shutil
import statistics
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from m6rec_lite.data.files import write_text
from m6rec_lite.m6rec.card import model_card
from m6rec_lite.m6rec.config import M6RecConfig
from m6rec_lite.m6rec.run_folder import read_report
from m6rec_lite.training.guard import in_words
from m6rec_lite.training.metrics import read_metrics


def write_results(out: Path, results: Mapping[str, Mapping[str, Any]], command: str) -> None:
    """Write ``metrics.json``, ``throughput.json``, ``curves.png`` and ``model/README.md``.

    Args:
        out: folder of the run.
        results: results of each stage.
        command: that repeats the run.
    """
    folder = out / "pretraining"
    report = read_report(folder)
    text = json.dumps({"command": command, **results}, indent=1, ensure_ascii=False)
    write_text(out / "metrics.json", text + "\n")
    speed = throughput(folder / "metrics.jsonl") | {
        key: report[key] for key in ("device", "threads", "torch", "seconds")
    }
    write_text(out / "throughput.json", json.dumps(speed, indent=1) + "\n")
    if (folder / "curves.png").is_file():
        shutil.copyfile(folder / "curves.png", out / "curves.png")
    config = M6RecConfig.from_pretrained(folder / "model")
    card = model_card(report | {"command": command or report["command"]}, config, _card(results))
    write_text(out / "model" / "README.md", card)


def throughput(path: Path) -> dict[str, float]:
    """Return median speed and peak memory in a run's metrics, without the first line (warm-up)."""
    lines = [line for line in read_metrics(path) if "record" not in line][1:]
    speed = {}
    for name, key, summary in (
        ("tokens/s", "median tokens/s", statistics.median),
        ("mfu", "median mfu", statistics.median),
        ("peak_mib", "peak_mib", max),
    ):
        if values := [line[name] for line in lines if name in line]:
            speed[key] = summary(values)
    return speed


def _card(results: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield the lines of the card on tuning and on test metrics."""
    tuning = results["tuning"]
    yield "\n## Tuned on\n"
    yield "| task | rows |"
    yield "|---|---|"
    for name, about in tuning["tasks"].items():
        yield f"| {name} | {about['rows']:,} |"
    yield f"\nAll tasks together, in {in_words(tuning['seconds'] / 60)}.\n"
    yield "## Measured on test\n"
    yield (
        "Retrieval is fitted from the pretrained model, and zero-shot ranking by likelihood uses "
        "it unchanged; all others use the tuned model.\n"
    )
    yield "| stage | metric | value |"
    yield "|---|---|---|"
    for stage, figures in results.items():
        if stage in ("tokens", "pretraining", "tuning"):
            continue
        for name, value in figures.items():
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                yield f"| {stage} | {name} | {value:.4g} |"
