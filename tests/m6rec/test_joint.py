"""Tasks together: the weighted sum, whose turn it is, checkpoints, and one folder for all."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from m6rec_lite.data.files import seal
from m6rec_lite.language.models.model_folder import ModelError
from m6rec_lite.language.text.document import Document
from m6rec_lite.language.text.tokenizer import Tokenizer
from m6rec_lite.m6rec import M6RecConfig, M6RecModel
from m6rec_lite.m6rec.batches import PretrainingBatches
from m6rec_lite.m6rec.infilling import Infilling
from m6rec_lite.m6rec.objective import PretrainingLoss
from m6rec_lite.m6rec.tasks.joint import JointBatches, JointLoss, Weights, train_jointly
from m6rec_lite.m6rec.tasks.multitask import MultiTaskModel
from m6rec_lite.m6rec.tasks.task import Examples, Task, TaskBatch, TaskBatches, collate
from m6rec_lite.m6rec.token_file import TokenFile
from m6rec_lite.training import Callback, Checkpoints
from m6rec_lite.training.batches import Epoch

TOKENIZER = Tokenizer.train(["a quick fox and a lazy dog", "a dog and a fox"], 300)
SHAPE = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}


class Guess(Task):
    """Which of some classes a row is of."""

    name: ClassVar[str] = "guess"

    def __init__(self, hidden_size: int, classes: int = 2) -> None:
        super().__init__()
        self.hidden_size, self.classes = hidden_size, classes
        self.head = nn.Linear(hidden_size, classes)

    def settings(self) -> dict[str, Any]:
        return {"hidden_size": self.hidden_size, "classes": self.classes}

    def random_examples(self, n: int) -> Examples:
        draw = np.random.default_rng(0)
        known = [draw.integers(20, TOKENIZER.vocab_size, 4).astype(np.int32) for _ in range(n)]
        written = [draw.integers(20, TOKENIZER.vocab_size, 3).astype(np.int32) for _ in range(n)]
        return Examples(known, written, np.array([int(k[0]) % self.classes for k in known]))

    def loss(self, model: M6RecModel, batch: TaskBatch) -> Tensor:
        return nn.functional.cross_entropy(self.head(batch.last(batch.states(model))), batch.target)

    def predict(
        self, model: M6RecModel, examples: Examples, *, batch_tokens: int = 16_384
    ) -> np.ndarray:
        with torch.no_grad():
            batch = collate(examples, np.arange(len(examples)))
            return self.head(batch.last(batch.states(model))).numpy()

    _examples = _figures = _baselines = None


def together(seed: int = 0, **changes) -> MultiTaskModel:
    torch.manual_seed(seed)
    model = M6RecModel(M6RecConfig.of_size("nano", TOKENIZER, **(SHAPE | changes)))
    d = model.config.hidden_size
    return MultiTaskModel(model, {"two": Guess(d, 2), "three": Guess(d, 3)})


def sources(both: MultiTaskModel, tokens: int = 60) -> dict[str, TaskBatches]:
    sizes = {"two": 30, "three": 11}
    return {n: TaskBatches(both.tasks[n].random_examples(k), tokens) for n, k in sizes.items()}


WEIGHTS = Weights(alpha=0.5, tasks={"two": 3.0, "three": 1.0}, finetune={"three": 2.0})


# The sum.


def test_the_loss_is_the_weighted_sum_and_each_part_is_logged() -> None:
    both = together().double()
    plan = JointBatches(sources(both)).epoch(0, 0)
    value, logs = JointLoss(WEIGHTS)(both, plan[0])
    two, three = (both.tasks[n].loss(both.model, plan[0][n]).item() for n in ("two", "three"))
    wanted = 0.5 * (3 * two + three) / 4 + three  # alpha L_multi-task + L_finetune
    assert value.item() == pytest.approx(wanted, rel=1e-12)
    assert logs["two"].item() == pytest.approx(two, rel=1e-12)
    assert logs["three"].item() == pytest.approx(three, rel=1e-12)


def test_the_pretraining_objectives_take_part_by_beta(tmp_path) -> None:
    both = together().double()
    texts = ["a quick fox", "a lazy dog and a fox", "a fox and a quick dog"] * 6
    file = TokenFile.once(
        tmp_path / "tokens", [Document(((None, t),)) for t in texts], TOKENIZER, of={},
        progress=False,
    )  # fmt: skip
    adapt = PretrainingBatches(
        file, {"infilling": Infilling()}, TOKENIZER, batch_size=4, seq_len=48
    )
    loss = PretrainingLoss({"infilling": 1.0})
    weights = Weights(beta=0.25, finetune={"two": 1.0})
    inputs = {"two": sources(both)["two"], "adapt": adapt}
    batch = JointBatches(inputs).epoch(0, 0)[0]
    value, logs = JointLoss(weights, loss)(both, batch)
    parts = both.tasks["two"].loss(both.model, batch["two"]), loss(both.model, batch["adapt"])[0]
    assert value.item() == pytest.approx((parts[0] + 0.25 * parts[1]).item(), rel=1e-12)
    assert logs["adapt"].item() == pytest.approx(parts[1].item(), rel=1e-12)
    assert "adapt infilling" in logs
    both.float()
    history = train_jointly(both, inputs, weights, adapt=loss, steps=2, progress=False)
    assert {"two", "adapt", "adapt infilling", "loss"} <= history.records[-1].keys()
    with pytest.raises(ValueError, match="adapt="):
        JointLoss(weights)


def test_weights_that_teach_nothing_are_refused() -> None:
    for wrong in (
        {"tasks": {"two": 0.0, "three": 0.0}},
        {},
        {"alpha": 0.0, "tasks": {"two": 1.0}},
        {"finetune": {"two": 0.0}},
    ):
        with pytest.raises(ValueError, match="all weights are 0"):
            Weights(**wrong)
    for wrong in ({"alpha": -1.0}, {"tasks": {"two": math.nan}}, {"beta": math.inf}):
        with pytest.raises(ValueError, match="at least 0"):
            Weights(**({"finetune": {"two": 1.0}} | wrong))
    only = Weights(tasks={"two": 1.0, "three": 0.0})
    assert only.shares() == {"two": 1.0}


def test_batches_and_weights_must_name_the_same_tasks() -> None:
    both = together()
    with pytest.raises(ValueError, match="exactly what has a weight"):
        train_jointly(both, {"two": sources(both)["two"]}, WEIGHTS, steps=1)
    strange = Weights(finetune={"four": 1.0})
    with pytest.raises(ValueError, match="no task 'four'"):
        train_jointly(both, {"four": sources(both)["two"]}, strange, steps=1)


# Whose turn it is.


class Numbers:
    """Batches that say who they are: (epoch, place)."""

    def __init__(self, sizes: list[int]) -> None:
        self.sizes = sizes

    def epoch(self, seed: int, epoch: int) -> Epoch:
        return Epoch(self.sizes[epoch % len(self.sizes)], lambda i: (epoch, i))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.integers(1, 5), min_size=1, max_size=3), min_size=1, max_size=3),
    st.one_of(st.none(), st.integers(1, 7)),
)
def test_each_source_goes_through_its_own_epochs_in_order(sizes, steps) -> None:
    named = {f"s{k}": Numbers(of) for k, of in enumerate(sizes)}
    batches = JointBatches(named, steps)
    seen = {name: [] for name in named}
    for epoch in range(4):
        plan = batches.epoch(0, epoch)
        assert len(plan) == (steps or max(of[0] for of in sizes))
        for name in named:
            seen[name] += [plan[i][name] for i in range(len(plan))]
    for (name, result), of in zip(seen.items(), sizes, strict=True):
        whole = [(e, i) for e in range(60) for i in range(of[e % len(of)])]
        assert result == whole[: len(result)], name
    fresh = JointBatches(named, steps).epoch(0, 3)  # a later epoch does not need the earlier
    last = [fresh[i] for i in range(len(fresh))]
    assert last == [{n: seen[n][-len(fresh) :][i] for n in named} for i in range(len(fresh))]


def test_no_source_or_no_batch_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one source"):
        JointBatches({})
    with pytest.raises(ValueError, match="no batches"):
        JointBatches({"empty": Numbers([0])}).epoch(0, 0)


# Training.


def weights_of(both: MultiTaskModel) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in both.state_dict().items()}


def test_a_run_cut_off_ends_in_the_weights_of_one_that_was_not(tmp_path) -> None:
    class Cut(Callback):
        def step(self, run) -> None:
            if run.step == 5:
                raise KeyboardInterrupt

    whole = together()
    train_jointly(whole, sources(whole), WEIGHTS, steps=9, progress=False)
    parts = together()
    rhythm = Checkpoints(tmp_path / "run", steps=2)
    options = {"steps": 9, "checkpoint": rhythm, "progress": False}
    with pytest.raises(KeyboardInterrupt):
        train_jointly(parts, sources(parts), WEIGHTS, callbacks=[Cut()], **options)
    again = together(seed=7)  # its own weights give way to the checkpoint's
    train_jointly(again, sources(again), WEIGHTS, **options)
    for name, value in weights_of(whole).items():
        torch.testing.assert_close(again.state_dict()[name], value, rtol=0, atol=0)


def test_all_tasks_learn() -> None:
    both = together(initializer_range=0.2)
    batches = sources(both, 400)
    history = train_jointly(both, batches, WEIGHTS, steps=150, lr=1e-2, progress=False)
    for name in ("two", "three"):
        first, last = history[name][0], history[name][-1]
        assert last < 0.5 * first, name


# One folder.


def test_save_and_load_are_equal(tmp_path) -> None:
    both = together().eval()
    folder = both.save(tmp_path / "m6rec", TOKENIZER)
    again, tokenizer = MultiTaskModel.load(folder, {"two": Guess, "three": Guess})
    assert tokenizer.fingerprint == TOKENIZER.fingerprint
    assert again.tasks["three"].classes == 3
    for name, value in weights_of(both).items():
        torch.testing.assert_close(again.state_dict()[name], value, rtol=0, atol=0)
    queries = both.tasks["three"].random_examples(5)
    np.testing.assert_array_equal(
        again.tasks["three"].predict(again.model, queries),
        both.tasks["three"].predict(both.model, queries),
    )
    assert M6RecModel.from_pretrained(folder).config.hidden_size == 16  # the model alone, too


def test_a_checkpoint_of_another_size_or_other_tasks_is_refused(tmp_path) -> None:
    both = together()
    folder = both.save(tmp_path / "m6rec", TOKENIZER)
    kinds = {"two": Guess, "three": Guess}
    with pytest.raises(ModelError, match="hidden_size 16, wanted 32"):
        MultiTaskModel.load(folder, kinds, size=32)
    with pytest.raises(ModelError, match="holds the tasks"):
        MultiTaskModel.load(folder, {"two": Guess})
    with pytest.raises(ValueError, match="made for hidden_size 8 and the model has 16"):
        MultiTaskModel(both.model, {"two": Guess(8)})
    with pytest.raises(ValueError, match="'adapt'"):
        MultiTaskModel(both.model, {"adapt": Guess(16)})
    other = together(hidden_size=32).save(tmp_path / "other", TOKENIZER)
    (other / "tasks.safetensors").replace(folder / "tasks.safetensors")
    seal(folder, ["tasks.safetensors"])  # of another model, and not damaged
    with pytest.raises(ModelError, match="does not fit"):
        MultiTaskModel.load(folder, kinds)
    (folder / "tasks.safetensors").unlink()
    with pytest.raises(ModelError, match="without tasks"):
        MultiTaskModel.load(folder, kinds)
