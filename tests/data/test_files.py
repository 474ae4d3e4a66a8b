"""Writing whole or not at all, checksums, and what killed saves leave."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from m6rec_lite.data import DataError, bazaar, leave_one_out, load_dataset
from m6rec_lite.data.files import (
    SUMS,
    DiskFullError,
    damage,
    disk_advice,
    new_file,
    new_folder,
    seal,
    settle,
)
from m6rec_lite.language.models.gpt import GPT
from m6rec_lite.language.models.hub import load_tokenizer
from m6rec_lite.language.models.model_folder import ModelError
from m6rec_lite.language.text.tokenizer import Tokenizer
from m6rec_lite.m6rec import M6RecModel
from m6rec_lite.recommenders import ItemKNN, Popularity, Recommender

CHECKPOINTS = Path(__file__).resolve().parents[2] / "checkpoints"
posix = pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX's")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("worlds") / "small"
    bazaar.save(bazaar.generate(users=40, items=60, progress=False), folder)
    return folder


def flips(path: Path, n: int, seed: int) -> list[bytes]:
    """Contents of a file, each time with another bit turned."""
    chance, whole = random.Random(seed), path.read_bytes()
    result = []
    for _ in range(n):
        turned = bytearray(whole)
        turned[chance.randrange(len(whole))] ^= 1 << chance.randrange(8)
        result.append(bytes(turned))
    return result


def refused(folder: Path, read, error: type[Exception], n: int = 40) -> None:
    """Every flipped bit, and a cut, of every file that is read is refused and named."""
    for path in sorted(folder.iterdir()):
        if path.name == "README.md":
            continue
        whole = path.read_bytes()
        for turned in [*flips(path, n, seed=len(whole)), whole[: len(whole) // 2]]:
            path.write_bytes(turned)
            with pytest.raises(error, match=re_name(folder)):
                read(folder)
        path.write_bytes(whole)
    read(folder)


def re_name(folder: Path) -> str:
    import re

    return re.escape(folder.name)


def test_every_flipped_bit_of_a_world_is_refused(world: Path) -> None:
    refused(world, load_dataset, DataError)


def test_every_flipped_bit_of_a_recommender_is_refused(world: Path, tmp_path: Path) -> None:
    model = ItemKNN().fit(leave_one_out(load_dataset(world)).train)
    model.save(tmp_path / "knn")
    refused(tmp_path / "knn", Recommender.load, DataError)


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("bazaar-gpt", lambda folder: (GPT.from_pretrained(folder), load_tokenizer(folder))),
        ("bazaar-m6rec", lambda folder: M6RecModel.from_pretrained(folder)),
    ],
)
def test_every_flipped_bit_of_a_language_model_is_refused(name, read, tmp_path: Path) -> None:
    folder = shutil.copytree(CHECKPOINTS / name, tmp_path / name)
    refused(folder, read, ModelError, n=8)
    (folder / SUMS).unlink()
    read(folder)  # as other programs write it


def test_a_missing_table_of_a_world_is_named(world: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(world, tmp_path / "copy")
    (copy / "reviews.parquet").unlink()
    with pytest.raises(DataError, match=r"reviews.parquet missing.*--out .*copy.*--users 40"):
        load_dataset(copy)


def test_a_world_replaces_no_other_files(world: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match=r"notes\.txt"):
        bazaar.save(load_dataset(world), tmp_path / "mine")


GENERATE = """
import sys
from m6rec_lite.data import bazaar
from m6rec_lite.data.bazaar import storage
data = bazaar.load(sys.argv[1])
print("ready", flush=True)
while True:
    bazaar.save(data, sys.argv[2])
"""
SAVE = """
import sys
import numpy as np
from m6rec_lite.recommenders.storage import write_model
print("ready", flush=True)
n = 0
while True:
    n += 1
    write_model(__import__("pathlib").Path(sys.argv[1]), "Popularity", {}, {"x": np.full(10**6, n)})
"""


def kill(code: str, *arguments: Path, seconds: float) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline().strip() == "ready"
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    process.communicate()


@pytest.mark.slow
@posix
def test_generation_killed_leaves_a_whole_world_and_the_next_save_cleans_up(
    world: Path, tmp_path: Path
) -> None:
    chance = random.Random(0)
    target = tmp_path / "w"
    bazaar.save(load_dataset(world), target)
    for _ in range(5):
        kill(GENERATE, world, target, seconds=chance.uniform(0, 0.4))
        assert len(load_dataset(target).interactions)
    bazaar.save(load_dataset(world), target)
    assert [path.name for path in tmp_path.iterdir()] == ["w"]


@pytest.mark.slow
@posix
def test_left_overs_of_killed_model_saves_are_removed(tmp_path: Path) -> None:
    from m6rec_lite.recommenders.storage import read_model, write_model

    chance = random.Random(1)
    write_model(tmp_path / "model", "Popularity", {}, {"x": np.zeros(3)})
    for _ in range(5):
        kill(SAVE, tmp_path / "model", seconds=chance.uniform(0.02, 0.3))
        _, settings, state = read_model(tmp_path / "model")
        write_model(tmp_path / "model", "Popularity", settings, state)
        assert [path.name for path in tmp_path.iterdir()] == ["model"]


@posix
def test_a_kill_between_the_two_renames_loses_nothing(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    with new_folder(tmp_path / "a") as fresh:
        (fresh / "x").write_text("old")
        name = fresh.name
    orphan = name.replace(f"-{os.getpid()}-", f"-{dead.pid}-")
    (tmp_path / "a").rename(tmp_path / orphan.replace(".new-", ".old-"))
    (tmp_path / orphan).mkdir()
    living = tmp_path / name  # of this process, which lives
    living.mkdir()
    settle(tmp_path / "a")
    assert (tmp_path / "a" / "x").read_text() == "old"
    assert {path.name for path in tmp_path.iterdir()} == {"a", name}


def test_an_error_leaves_the_old_contents(tmp_path: Path) -> None:
    for write in (new_file, new_folder):
        with write(tmp_path / write.__name__):
            pass
        with pytest.raises(KeyError), write(tmp_path / write.__name__):
            raise KeyError
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new_file", "new_folder"]


def test_a_full_disk_is_named_with_its_path(tmp_path: Path) -> None:
    import errno

    said = pytest.raises(OSError, match=r"x could not be written.*free some room")
    with said, disk_advice(tmp_path / "x"):
        raise OSError(errno.ENOSPC, "No space left on device")


class SafetensorsError(Exception):
    """Like that of safetensors, which has no number."""


def test_a_full_disk_is_named_whatever_the_class_of_the_error(tmp_path: Path) -> None:
    with pytest.raises(DiskFullError, match="x could not be written"), disk_advice(tmp_path / "x"):
        raise SafetensorsError("Error while serializing: I/O error: full (os error 28)")
    with pytest.raises(SafetensorsError), disk_advice(tmp_path / "x"):
        raise SafetensorsError("Error while serializing: I/O error: refused (os error 13)")


def test_sums_of_a_changed_and_a_missing_file(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("1")
    assert damage(tmp_path) is None
    seal(tmp_path, ["x"])
    assert damage(tmp_path) is None
    (tmp_path / "x").write_text("2")
    assert "x is damaged" in damage(tmp_path)
    (tmp_path / "x").unlink()
    assert "x is missing" in damage(tmp_path)


BASELINES = """
import pandas as pd
from m6rec_lite.m6rec.tasks import Conversation, Design
class E:
    about = pd.DataFrame({"domain": ["shop"] * 3, "text": ["red lamp", "tea", "boots"],
                          "item_id": [2, 1, 3], "asked": ["red tea boots lamp"] * 3})
    def __len__(self): return 3
class D:
    seed, dataset, text = 0, None, None
    def item(self, i, parts=None): return ["red lamp", "tea boots", "boots red", "lamp tea"][i - 1]
data = D()
data.text, data.dataset = data, D()
data.dataset.items = pd.DataFrame({"item_id": [1, 2, 3, 4]})
design = Design()
for name, titles in design.baselines(E(), E(), data).items():
    print(name, design.designs(titles))
for name, items in Conversation().baselines(E(), E(), data).items():
    print(name, [one.items for one in items])
"""


@pytest.mark.slow
def test_baselines_do_not_depend_on_the_hash_seed() -> None:
    result = {
        subprocess.run(
            [sys.executable, "-c", BASELINES],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "2", "3")
    }
    assert len(result) == 1
    assert "'title': 'boots'" in result.pop()


def test_a_half_tokenizer_of_a_run_is_rebuilt(tmp_path: Path) -> None:
    from m6rec_lite.m6rec.run_folder import tokens
    from m6rec_lite.m6rec.settings import Pretraining

    data = bazaar.generate(users=40, items=60, progress=False)
    settings = Pretraining(size="nano", steps=2, vocab_size=400)
    (tmp_path / "tokenizer").mkdir()
    (tmp_path / "tokenizer" / "tokenizer.json.part").write_text("{")
    made, *_ = tokens(settings, tmp_path, lambda: [data], False)
    assert Tokenizer.load(tmp_path / "tokenizer").fingerprint == made.fingerprint


def test_popularity_can_be_saved_twice(world: Path, tmp_path: Path) -> None:
    model = Popularity().fit(leave_one_out(load_dataset(world)).train)
    for _ in range(2):
        model.save(tmp_path / "popularity")
    assert [path.name for path in tmp_path.iterdir()] == ["popularity"]
