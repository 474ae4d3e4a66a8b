"""Answer requests in a process with one thread and limited memory, as on a small device.

    python -m m6rec_lite.m6rec.cost.limited_process model.safetensors < requests.jsonl

Each line of the input is ``{"known": [ids], "written": [ids]}``; each line of the output is a
probability and milliseconds, and the last one the peak of resident memory. The limit is set with
``resource.setrlimit`` before torch is imported: on private writable memory (``RLIMIT_DATA``) for a
torch model, whose library maps more addresses than it uses, and on all addresses (``RLIMIT_AS``)
for an ONNX file, which needs no torch. A process that needs more ends with an error. Linux only.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from m6rec_lite.m6rec.compress.late_interaction import SegmentCache
    from m6rec_lite.m6rec.tasks.multitask import MultiTaskModel

#: ``answer(known, written)``: a probability, from the token ids (lists or arrays) of both regions.
Answer = Callable[..., float]


def limit_process(memory_mib: int, *, addresses: bool = False) -> None:
    """Limit this process to one thread of computation and some memory, for good.

    Args:
        memory_mib: MiB.
        addresses: limit all addresses; else private writable memory.

    Raises:
        ValueError: if the limit is below 64.
        OSError: on a system without these limits.
    """
    if memory_mib < 64:
        raise ValueError(f"memory_mib must be at least 64 for Python itself, got {memory_mib!r}")
    if not sys.platform.startswith("linux"):
        raise OSError(f"memory can be limited on Linux only, this is {sys.platform}")
    import resource

    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"
    kind = resource.RLIMIT_AS if addresses else resource.RLIMIT_DATA
    resource.setrlimit(kind, (memory_mib << 20, memory_mib << 20))


def serve_limited(
    path: str | Path, requests: Iterable[tuple[Iterable[int], Iterable[int]]], memory_mib: int = 512
) -> tuple[list[dict[str, float]], float]:
    """Answer requests in a new limited process.

    Args:
        path: of ``save_compressed`` or ``export_onnx``; the task must be called ``scoring``.
        requests: token ids of known and written regions.
        memory_mib: limit in MiB.

    Returns:
        For each request its ``probability`` and ``ms``; and the process's peak memory in MiB.

    Raises:
        RuntimeError: if the process ended before it had answered all requests.
    """
    lines = [
        json.dumps({"known": [int(i) for i in known], "written": [int(i) for i in written]})
        for known, written in requests
    ]
    command = [sys.executable, "-m", __name__, str(path), "--memory-mib", str(memory_mib)]
    done = subprocess.run(command, input="\n".join(lines), capture_output=True, text=True)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    if done.returncode or len(answers) != len(lines) + 1:
        raise RuntimeError(
            f"the process with {memory_mib} MiB ended with code {done.returncode} after "
            f"{len(answers)} of {len(lines)} answers: {done.stderr[-500:]}"
        )
    return answers[:-1], answers[-1]["peak_mib"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path")
    parser.add_argument("--memory-mib", type=int, default=512)
    options = parser.parse_args(arguments)
    limit_process(options.memory_mib, addresses=options.path.endswith(".onnx"))
    answer = answers_of(options.path)
    for line in filter(str.strip, sys.stdin):
        row = json.loads(line)
        clock = time.perf_counter()
        probability = answer(row["known"], row["written"])
        milliseconds = 1000 * (time.perf_counter() - clock)
        print(json.dumps({"probability": probability, "ms": round(milliseconds, 3)}), flush=True)
    import resource  # not ``evaluation.peak_mib``, whose imports would be part of the peak

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"peak_mib": round(peak, 1)}), flush=True)


def answers_of(path: str | Path, cache: SegmentCache | None = None) -> Answer:
    """Return the function that answers one request with a file's model.

    Args:
        path: of ``save_compressed``, or of ``export_onnx`` if it ends in ``.onnx``.
        cache: of segments, for late interaction; None makes a new one.

    Returns:
        ``answer(known, written)``: the probability of a click, from the token ids of both regions.
    """
    if str(path).endswith(".onnx"):
        from m6rec_lite.m6rec.compress.onnx_export import OnnxScorer

        return OnnxScorer(path)
    from m6rec_lite.m6rec.compress.storage import load_compressed

    return answers_with(load_compressed(path)[0], cache)


def answers_with(both: MultiTaskModel, cache: SegmentCache | None = None) -> Answer:
    """Return the function that answers one request with a model; see ``answers_of``.

    In the last layer only the last token is computed, with late interaction and without.
    """
    import numpy as np
    import torch

    from m6rec_lite.m6rec.compress.blocks import embed, last_state, row_mask, run_blocks
    from m6rec_lite.m6rec.compress.late_interaction import LateInteractionScoring, SegmentCache
    from m6rec_lite.m6rec.tasks.scoring import Scoring, correct_for_sampling
    from m6rec_lite.m6rec.tasks.task import Examples, collate
    from m6rec_lite.nn.decoding import inference_mode

    model, task = both.model, both.task("scoring")
    cache = SegmentCache() if cache is None else cache

    def answer(known: Sequence[int], written: Sequence[int]) -> float:
        row = np.asarray(known, np.int32), np.asarray(written, np.int32)
        if isinstance(task, LateInteractionScoring):
            return task.answer(model, *row, cache)
        examples = Examples([row[0]], [row[1]], np.zeros(1))
        if type(task) is not Scoring:  # early exit
            return float(task.predict(model, examples)[0])
        with torch.no_grad(), inference_mode(model):
            batch, blocks = collate(examples, np.zeros(1, dtype=np.int64)), list(model.blocks)
            x, rotary = embed(model, batch.ids, torch.arange(batch.ids.shape[1])[None])
            x = run_blocks(blocks[:-1], x, row_mask(batch), rotary)
            logits = task.head(model.norm(last_state(blocks[-1], x, rotary)))
            probability = logits.double().softmax(dim=1)[:, 1].numpy()
        return float(correct_for_sampling(probability, task.negative_share)[0])

    return answer


if __name__ == "__main__":
    main()
