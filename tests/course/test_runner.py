"""Running notebooks: the table, failures, bounds, pages, being killed, storing in place."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pandas as pd
import pytest

from m6rec_lite.course.__main__ import main
from m6rec_lite.course.build import notebooks, runner
from m6rec_lite.course.build.execute_in_place import StoreError, is_fresh, store
from m6rec_lite.course.build.needs import lacking
from m6rec_lite.course.build.notebook_lint import faults
from m6rec_lite.course.build.runner import run
from m6rec_lite.data import DataError

pytestmark = pytest.mark.notebook

SETUP = """import os
SCALE = os.environ["M6REC_SCALE"]
DATASET = "bazaar"
SEED = 0"""

COURSE = "from m6rec_lite import course"

ROW = """from m6rec_lite import course
board = course.Leaderboard()
board.add({"dataset": DATASET, "scale": SCALE, "split_hash": "abc", "model": "EASE",
           "variant": "", "seed": SEED, "n_params": 12_345, "fit_seconds": float("nan"),
           "hr@10": 0.2, "ndcg@10": 0.1})"""

FIGURE = """import matplotlib.pyplot as plt
course.style()
fig, ax = plt.subplots()
ax.plot([1, 2])
course.show(fig, alt="The line rises from one to two.")"""


def write(path: Path, *cells: str, prose: str = "# Small") -> Path:
    """A notebook with the parameters cell, then these code cells."""
    new = nbformat.v4.new_code_cell
    code = [new(SETUP, id="parameters", metadata={"tags": ["parameters"]})]
    code += [new(source, id=f"cell-{i}") for i, source in enumerate(cells)]
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(
        nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(prose, id="title"), *code]),
        path,
    )
    return path


@pytest.fixture
def root(tmp_path, monkeypatch):
    for folder in ("notebooks", "solutions", "exercises", "m6rec_lite"):
        (tmp_path / folder).mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("M6REC_STRICT", raising=False)
    return tmp_path


def texts(notebook) -> str:
    return "".join(
        output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", [])
    )


def test_a_run_goes_on_after_a_failure_and_tells(root, capsys):
    write(
        root / "notebooks" / "00_good.ipynb", COURSE, "print(SCALE, DATASET, SEED)", FIGURE, ROW,
        'course.record("ndcg", 0.2, at_least=0.1)',
        prose="# Good\n[next](02_broken.ipynb) [licence](../LICENSE) [web](https://x.org/a.ipynb)",
    )  # fmt: skip
    write(root / "notebooks" / "01_fails.ipynb", "1 / 0", "print('never')")
    write(
        root / "notebooks" / "02_broken.ipynb",
        COURSE,
        'course.record("hr", 0.5, at_least=0.1)',
        'course.record("ndcg", 0.01, at_least=0.1)',
    )
    code = run(scale="smoke", dataset="bazaar", seed=7, root=root, progress=False)
    assert code == 1
    out = root / "runs" / "bazaar-smoke"
    table = pd.read_csv(out / "chapters.csv", keep_default_na=False).set_index("chapter")
    assert table["status"].tolist() == ["finished", "failed", "bound broken"]
    assert table.loc["01_fails", "error"].endswith("ZeroDivisionError: division by zero")
    assert table.loc["02_broken", "broken"] == "ndcg = 0.01"
    assert table["bounds_held"].tolist() == [1, 0, 1]
    assert table["bounds"].tolist() == [1, 0, 2]
    assert (table["seconds"] > 0).all()
    assert (table["peak_mib"] > 20).all()  # a Python kernel alone takes more

    executed = nbformat.read(out / "notebooks" / "00_good.ipynb", as_version=4)
    assert "smoke bazaar 7" in texts(executed)
    assert "papermill" not in json.dumps(executed.metadata)
    assert str(root) not in (out / "notebooks" / "00_good.ipynb").read_text()
    board = pd.read_csv(out / "leaderboard" / "bazaar.csv")
    assert board["command"].tolist() == [
        "python -m m6rec_lite.course run --scale smoke --dataset bazaar --seed 7 --chapters 00"
    ]

    page = (out / "pages" / "00_good.html").read_text()
    assert 'alt="The line rises from one to two."' in page
    assert 'href="02_broken.html"' in page
    assert 'href="../../../LICENSE"' in page
    assert 'href="https://x.org/a.ipynb"' in page
    index = (out / "index.html").read_text()
    assert "EASE 0.100" in index  # the ladder's alt text
    assert "data:image/png;base64," in index
    assert '<td class="number">12,345</td><td class="number">–</td>' in index
    assert 'href="pages/01_fails.html"' in index
    assert "ZeroDivisionError" in index

    said = capsys.readouterr().out
    assert "1 of 3 chapters finished" in said
    for place in ("index.html", "notebooks", "leaderboard/bazaar.csv", "chapters.csv"):
        assert f"runs/bazaar-smoke/{place}" in said.splitlines()[-4:].__str__()


def test_what_finished_is_not_run_again_when_resuming(root, capsys):
    first = write(root / "notebooks" / "00_a.ipynb", "open('00.txt', 'a').write('x')")
    second = write(root / "notebooks" / "01_b.ipynb", "open('01.txt', 'a').write('x')", "1 / 0")
    assert run(scale="smoke", root=root, progress=False) == 1
    write(second, "open('01.txt', 'a').write('x')")
    assert run(scale="smoke", root=root, progress=False, resume=True) == 0
    assert (root / "notebooks" / "00.txt").read_text() == "x"
    assert (root / "notebooks" / "01.txt").read_text() == "xx"
    # another seed, or changed code, is another matter
    write(first, "open('00.txt', 'a').write('y')")
    assert run(scale="smoke", root=root, progress=False, resume=True) == 0
    assert (root / "notebooks" / "00.txt").read_text() == "xy"
    assert run(scale="smoke", root=root, progress=False, resume=True, seed=1) == 0
    assert (root / "notebooks" / "01.txt").read_text() == "xxx"


def test_some_chapters_keep_the_rows_of_the_others(root):
    write(root / "notebooks" / "00_a.ipynb", "1")
    write(root / "notebooks" / "01_b.ipynb", "1")
    out = root / "mine"
    assert run(scale="smoke", root=root, out=out, progress=False) == 0
    assert run(scale="smoke", root=root, out=out, progress=False, numbers="1") == 0
    assert pd.read_csv(out / "chapters.csv")["chapter"].tolist() == ["00_a", "01_b"]
    with pytest.raises(ValueError, match="no chapter 07 in notebooks/; there are 00, 01"):
        run(scale="smoke", root=root, numbers="07", progress=False)


def test_a_kernel_that_dies_is_a_failure_like_another(root):
    write(root / "notebooks" / "00_dies.ipynb", "import os\nos._exit(3)")
    write(root / "notebooks" / "01_b.ipynb", "1")
    for number, torn in enumerate(('{"cells": [', "[]", "{}", ""), 2):
        (root / "notebooks" / f"0{number}_torn.ipynb").write_text(torn)
    assert run(scale="smoke", root=root, progress=False) == 1
    table = pd.read_csv(root / "runs" / "bazaar-smoke" / "chapters.csv", keep_default_na=False)
    assert table["status"].tolist() == ["failed", "finished", *4 * ["failed"]]
    assert "DeadKernel" in table["error"][0]
    assert "ran out of memory; close other programs" in table["error"][0]
    for number in range(2, 6):
        assert f"0{number}_torn.ipynb is not a Jupyter notebook" in table["error"][number]


@pytest.mark.parametrize(
    "source",
    [
        "raise MemoryError",
        "raise RuntimeError('DefaultCPUAllocator: can\\'t allocate memory')",
        "import os, sys\nprint('MemoryError', file=sys.stderr, flush=True)\n"
        "import time\ntime.sleep(1)\nos._exit(1)",
    ],
)
def test_a_chapter_without_memory_says_so(root, source):
    write(root / "notebooks" / "00_large.ipynb", source)
    assert run(scale="smoke", root=root, progress=False) == 1
    error = pd.read_csv(root / "runs" / "bazaar-smoke" / "chapters.csv")["error"][0]
    assert "memory" in error
    assert "close other programs, or take a smaller scale" in error


def test_a_full_disk_is_named_and_keeps_the_old_copy(root, monkeypatch, capsys):
    write(root / "notebooks" / "00_a.ipynb", "1")
    write(root / "notebooks" / "01_b.ipynb", "1")
    out = root / "runs" / "bazaar-smoke"
    assert run(scale="smoke", root=root, progress=False) == 0
    old = (out / "notebooks" / "00_a.ipynb").read_bytes()
    whole = notebooks.write_text

    def full(path, text):
        if path.name == "00_a.ipynb":
            raise OSError(28, "No space left on device", str(path))
        whole(path, text)

    monkeypatch.setattr(notebooks, "write_text", full)
    assert run(scale="smoke", root=root, progress=False) == 1
    assert (out / "notebooks" / "00_a.ipynb").read_bytes() == old
    table = pd.read_csv(out / "chapters.csv", keep_default_na=False)
    assert table["status"].tolist() == ["failed", "finished"]
    assert "No space left on device" in table["error"][0]
    assert "00_a.ipynb" in table["error"][0]
    assert "No space left on device" in capsys.readouterr().out


def test_a_table_or_index_that_cannot_be_written_does_not_stop_the_run(root, monkeypatch, capsys):
    write(root / "notebooks" / "00_a.ipynb", "1")
    write(root / "notebooks" / "01_b.ipynb", "open('01.txt', 'w').write('x')")

    def full(path, text):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(runner, "write_text", full)
    assert run(scale="smoke", root=root, progress=False) == 1
    assert (root / "notebooks" / "01.txt").exists()
    said = capsys.readouterr().out
    assert "2 of 2 chapters finished" in said
    assert "No space left on device" in said
    assert "chapters.csv" in said


def test_two_runs_in_one_folder_keep_the_rows_of_both(root):
    for number in ("00", "01"):
        other = "01" if number == "00" else "00"
        wait = (
            f"import pathlib, time\npathlib.Path('{number}.txt').touch()\n"
            f"while not pathlib.Path('{other}.txt').exists(): time.sleep(0.01)"
        )
        write(root / "notebooks" / f"{number}_a.ipynb", wait)
    command = [sys.executable, "-m", "m6rec_lite.course", "run", "--scale", "smoke", "--chapters"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    both = [subprocess.Popen([*command, number], **quiet) for number in ("00", "01")]
    assert [process.wait() for process in both] == [0, 0]
    out = root / "runs" / "bazaar-smoke"
    assert pd.read_csv(out / "chapters.csv")["chapter"].tolist() == ["00_a", "01_a"]
    index = (out / "index.html").read_text()
    assert "00_a.html" in index
    assert "01_a.html" in index


def test_two_jobs_run_two_lessons_at_the_same_time(root, monkeypatch, capsys):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    threads = "print('threads', os.environ['OMP_NUM_THREADS'])"
    for number, other in (("00", "01"), ("01", "00")):  # each ends once the other has begun
        wait = (
            f"import pathlib, time\npathlib.Path('{number}.txt').touch()\n"
            f"while not pathlib.Path('{other}.txt').exists(): time.sleep(0.01)"
        )
        write(root / "notebooks" / f"{number}_a.ipynb", wait, ROW.replace("EASE", number), threads)
    write(root / "notebooks" / "02_fails.ipynb", "1 / 0")
    assert run(scale="smoke", root=root, progress=False, jobs=2) == 1
    out = root / "runs" / "bazaar-smoke"
    table = pd.read_csv(out / "chapters.csv", keep_default_na=False)
    assert table["status"].tolist() == ["finished", "finished", "failed"]
    commands = pd.read_csv(out / "leaderboard" / "bazaar.csv")["command"]
    assert sorted(command[-2:] for command in commands) == ["00", "01"]
    executed = nbformat.read(out / "notebooks" / "00_a.ipynb", as_version=4)
    assert f"threads {max(1, os.cpu_count() // 2)}" in texts(executed)
    said = capsys.readouterr().out
    assert said.index("00_a") < said.index("01_a") < said.index("02_fails")
    with pytest.raises(ValueError, match="jobs must be at least 1, got 0"):
        run(scale="smoke", root=root, progress=False, jobs=0)


def test_a_job_whose_process_is_killed_is_a_failure_like_another(root):
    write(root / "notebooks" / "00_a.ipynb", "import os\nos.kill(os.getppid(), 9)")
    assert run(scale="smoke", root=root, progress=False, jobs=2) == 1
    table = pd.read_csv(root / "runs" / "bazaar-smoke" / "chapters.csv", keep_default_na=False)
    assert table["status"].tolist() == ["failed"]
    assert "its process was ended" in table["error"][0]
    assert "take a smaller scale" in table["error"][0]


@pytest.mark.parametrize("damaged", ["", "chapter,sta"])
def test_a_damaged_table_of_chapters_is_set_aside_and_the_run_goes_on(root, damaged, capsys):
    write(root / "notebooks" / "00_a.ipynb", "1")
    out = root / "runs" / "bazaar-smoke"
    out.mkdir(parents=True)
    (out / "chapters.csv").write_text(damaged)
    assert run(scale="smoke", root=root, progress=False) == 0
    assert "chapters.csv is damaged" in capsys.readouterr().err
    assert (out / "chapters.csv.damaged").read_text() == damaged
    assert pd.read_csv(out / "chapters.csv")["chapter"].tolist() == ["00_a"]


def test_memory_is_that_of_the_kernel_and_its_children(root):
    # 200 MB, kept for several samples of memory
    fill = "import numpy as np, time\nx = np.ones(25_000_000)\ntime.sleep(1)"
    write(root / "notebooks" / "00_small.ipynb", "1")
    write(root / "notebooks" / "01_large.ipynb", fill + "\ndel x")
    child = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', '''{fill}'''])"
    write(root / "notebooks" / "02_child.ipynb", child)
    assert run(scale="smoke", root=root, progress=False) == 0
    peak = pd.read_csv(root / "runs" / "bazaar-smoke" / "chapters.csv")["peak_mib"]
    assert peak[1] > peak[0] + 150
    assert peak[2] > peak[0] + 150


@pytest.mark.slow
def test_a_run_that_was_killed_starts_again(root):
    write(root / "notebooks" / "00_a.ipynb", ROW, "open('00.txt', 'a').write('x')")
    write(
        root / "notebooks" / "01_b.ipynb",
        "import pathlib, time\npathlib.Path('01.txt').touch()\n"
        "time.sleep(60 if not pathlib.Path('again').exists() else 0)",
    )
    command = [sys.executable, "-m", "m6rec_lite.course", "run", "--scale", "smoke", "--resume"]
    command += ["--chapters", "00,01"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    begun = time.monotonic()
    while not (root / "notebooks" / "01.txt").exists():
        assert process.poll() is None
        assert time.monotonic() - begun < 60
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    out = root / "runs" / "bazaar-smoke"
    assert pd.read_csv(out / "chapters.csv")["chapter"].tolist() == ["00_a"]
    (root / "notebooks" / "again").touch()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (root / "notebooks" / "00.txt").read_text() == "x"
    assert len(pd.read_csv(out / "leaderboard" / "bazaar.csv")) == 1
    assert pd.read_csv(out / "chapters.csv")["status"].tolist() == ["finished", "finished"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["run", "--scale", "huge"], "--scale is 'huge'; wanted one of smoke, laptop, gpu"),
        (["run"], "no chapters in"),
        (["store", "notebooks/99_none.ipynb"], "no such notebook"),
    ],
)
def test_the_command_line_tells_what_is_wrong(root, arguments, told, capsys):
    assert main(arguments) == 2
    assert told in capsys.readouterr().err


# ---------------------------------------------------------------- storing in place


def test_storing_keeps_outputs_facts_and_hash_and_nothing_of_the_machine(root, monkeypatch):
    path = write(
        root / "notebooks" / "00_a.ipynb",
        "from tqdm.auto import tqdm\nfor _ in tqdm(range(3)):\n    pass\nprint(SCALE)",
        COURSE,
        FIGURE,
    )
    assert not is_fresh(path, root)
    facts = store(path, root, progress=False)
    notebook = nbformat.read(path, as_version=4)
    assert "laptop" in texts(notebook)
    assert set(facts["seconds"]) == set(facts["peak_mib"]) == {"smoke", "laptop"}
    assert facts["gpu"] is False
    facts_cell = notebook.cells[1]
    assert facts_cell.metadata["tags"] == ["facts"]
    assert "min to read" in facts_cell.source
    assert "at smoke scale" in facts_cell.source
    told = faults(path, root)
    for word in (
        "executed",
        "warning",
        "widget",
        "path",
        "alt",
        "other code",
        "facts",
        "papermill",
    ):
        assert not [fault for fault in told if word in fault], told
    assert is_fresh(path, root)
    # storing again changes the measured facts at most
    ids = [cell.id for cell in notebook.cells]
    store(path, root, progress=False)
    assert [cell.id for cell in nbformat.read(path, as_version=4).cells] == ids


def test_a_chapter_that_fails_or_breaks_a_bound_is_not_stored(root):
    for source, why in (
        ("1 / 0", "ZeroDivision"),
        (f"{COURSE}\ncourse.record('x', 0, at_least=1)", "Bound"),
    ):
        path = write(root / "notebooks" / "00_a.ipynb", source)
        before = path.read_bytes()
        with pytest.raises(StoreError, match=why):
            store(path, root, progress=False)
        assert path.read_bytes() == before


def test_traces_of_progress_bars_are_not_stored_and_other_messages_are(root):
    bars = """import sys
from tqdm import tqdm
for _ in tqdm(range(3), desc="evaluate", disable=False): pass
for _ in tqdm(iter("abc"), desc="rows", disable=False, leave=False): pass"""
    talk = "import sys; print('3 rows dropped', file=sys.stderr)"
    path = write(root / "notebooks" / "00_bars.ipynb", bars, talk)
    run(scale="smoke", root=root, out=root / "runs" / "bars", progress=False)
    done = nbformat.read(root / "runs" / "bars" / "notebooks" / path.name, as_version=4)
    shown, said = ([o.get("text") for o in cell.outputs] for cell in done.cells[-2:])
    assert shown == []
    assert said == ["3 rows dropped\n"]


def test_a_stored_leaderboard_has_the_models_of_the_lessons_up_to_it(root):
    def model(number, name):
        show = "print(list(board.frame('bazaar')['model']))"
        row = ROW.replace('"EASE"', f'"{name}"')
        return write(root / "notebooks" / f"{number}_{name}.ipynb", row, show)

    renumbered = model("00", "Renumbered")
    paths = [model("03", "Last"), model("02", "Late"), model("01", "Early")]
    store(renumbered, root, progress=False)
    renumbered.unlink()
    for path in (*paths, paths[0]):  # in any order: 02 was stored before 01
        store(path, root, progress=False)
    last, _, early = (nbformat.read(path, as_version=4).cells[-1].outputs[0].text for path in paths)
    assert early == "['Early']\n"
    assert last == "['Early', 'Late', 'Last']\n"
    paths[2].write_text(paths[2].read_text().replace("Early", "Other"))  # the board of 02 has Early
    for path in (paths[2], paths[0]):
        store(path, root, progress=False)
    last = nbformat.read(paths[0], as_version=4).cells[-1].outputs[0].text
    assert last == "['Other', 'Late', 'Last']\n"


def test_a_chapter_that_needs_what_the_data_lack_is_left_out(tmp_path):
    rows = "".join(f"{u},{i},{1000 + 10 * u + i}\n" for u in range(20) for i in range(6))
    bare, titled = tmp_path / "bare.csv", tmp_path / "titled.csv"
    bare.write_text("user_id,item_id,timestamp\n" + rows)
    titled.write_text(
        "user_id,item_id,timestamp,title\n"
        + "".join(f"{line},film {line.split(',')[1]}\n" for line in rows.split())
    )
    assert lacking("bazaar", ["00", "10"]) == {}
    assert lacking(str(bare), ["04", "10", "06"]) == {
        "10": ["titles of items"],
        "06": ["ratings (a value that differs between events)"],
    }
    assert lacking(str(titled), ["04", "10"]) == {}
    with pytest.raises(DataError, match=r"bare: no chapter .* 10 needs titles of items"):
        run(scale="smoke", dataset=str(bare), numbers="10", out=tmp_path / "out", progress=False)
    assert not (tmp_path / "out").exists()
    with pytest.raises(DataError, match="does not exist"):
        run(scale="smoke", dataset=str(tmp_path / "no.csv"), numbers="10", out=tmp_path / "out")
