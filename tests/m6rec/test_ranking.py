"""Zero-shot ranking: likelihoods over a cache are those of full passes; lift and length by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from m6rec_lite.data import DataError, Histories
from m6rec_lite.language.models.causal_lm import CausalLM
from m6rec_lite.language.text.behaviour import BehaviourText
from m6rec_lite.language.text.tokenizer import Tokenizer
from m6rec_lite.m6rec import M6RecConfig, M6RecModel
from m6rec_lite.m6rec.prompts import PromptBuilder
from m6rec_lite.m6rec.tasks.data import TaskData
from m6rec_lite.m6rec.tasks.full_ranking import popularity
from m6rec_lite.m6rec.tasks.generators import CausalGenerator
from m6rec_lite.m6rec.tasks.joint import Weights, train_jointly
from m6rec_lite.m6rec.tasks.multitask import MultiTaskModel
from m6rec_lite.m6rec.tasks.ranking import SCORINGS, Ranking, templates
from m6rec_lite.m6rec.tasks.task import TaskBatches, collate
from tests.worlds import shipped, shipped_split

DATASET = shipped()
SPLIT = shipped_split()
QUERIES = SPLIT.train.histories()[:3].last(4)
ITEMS = DATASET.items["item_id"].to_numpy()
CANDIDATES = [ITEMS[[5, 9, 200]], ITEMS[[9]], ITEMS[[300, 5, 7, 8]]]
TEXT = BehaviourText(DATASET)
TOKENIZER = Tokenizer.train(DATASET.items["title"], 600)
PROMPTS = PromptBuilder(TEXT, TOKENIZER, 512)
SHAPE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}


@pytest.fixture(scope="module")
def model() -> M6RecModel:
    torch.manual_seed(0)
    config = M6RecConfig.of_size("nano", TOKENIZER, **SHAPE, initializer_range=0.2)
    return M6RecModel(config).double().eval()


def by_hand(model: M6RecModel, known: np.ndarray, written: np.ndarray) -> float:
    """The log-likelihood of the sentence without ``[EOS]``, from one pass over the whole row."""
    row = torch.from_numpy(np.concatenate([known, written]).astype(np.int64))[None]
    with torch.no_grad():
        logits = model(row, prefix_length=len(known)).logits[0]
    chances = logits.log_softmax(dim=1)
    positions = range(len(known), row.shape[1] - 2)
    return sum(float(chances[at, row[0, at + 1]]) for at in positions)


@pytest.mark.parametrize("template", sorted(templates()))
def test_likelihoods_over_the_cache_are_those_of_full_passes(model, template) -> None:
    task = Ranking(template)
    examples = task.encode(QUERIES, CANDIDATES, PROMPTS)
    assert examples.about["row"].tolist() == [0, 0, 0, 1, 2, 2, 2, 2]
    pairs = list(zip(examples.known, examples.written, strict=True))
    sums = np.array([by_hand(model, *pair) for pair in pairs])
    sizes = np.array([len(written) - 2 for written in examples.written])
    result = task.predict(model, examples, scoring="sum")
    np.testing.assert_allclose(result, sums, rtol=1e-9)
    np.testing.assert_allclose(task.predict(model, examples), sums / sizes, rtol=1e-9)
    names = ["[BOS']", "[USER]", *(["[EVENT]", "[MASK]"] * templates()[template]["asks"]), "[EOS']"]
    empty = np.array([TOKENIZER.id(name) for name in names])
    alone = np.array([by_hand(model, empty, written) for _, written in pairs])
    lift = task.predict(model, examples, scoring="mean, lift")
    np.testing.assert_allclose(lift, (sums - alone) / sizes, rtol=1e-8, atol=1e-9)
    one_by_one = [task.predict(model, examples[[i]])[0] for i in range(len(examples))]
    np.testing.assert_allclose(one_by_one, sums / sizes, rtol=1e-9)


def test_popularity_is_added_by_hand_and_must_be_known(model) -> None:
    task = Ranking(scoring="sum", popularity_weight=0.5)
    examples = task.encode(QUERIES, CANDIDATES, PROMPTS)
    with pytest.raises(ValueError, match="no popularity to weigh"):
        task.predict(model, examples)
    counts = np.arange(8.0) ** 2
    known = replace(examples, about=examples.about.assign(popularity=counts))
    pairs = zip(examples.known, examples.written, strict=True)
    sums = np.array([by_hand(model, *pair) for pair in pairs])
    np.testing.assert_allclose(task.predict(model, known), sums + 0.5 * np.log(1 + counts))
    np.testing.assert_allclose(task.predict(model, known, popularity_weight=0.0), sums)
    assert task.settings()["popularity_weight"] == 0.5
    with pytest.raises(ValueError, match="popularity_weight must be at least 0"):
        Ranking(popularity_weight=-1.0)


def test_scoring_and_weight_are_chosen_on_validation(model, monkeypatch) -> None:
    data, task = TaskData.of(DATASET, SPLIT), Ranking()
    examples = task.build_examples(data, PROMPTS, "validation", limit=40)
    counts = popularity(data)[np.searchsorted(SPLIT.item_ids, examples.about["item_id"])]
    assert examples.about["popularity"].tolist() == counts.tolist()
    questions = data.questions("validation", 40)
    users = questions.histories.user_ids[questions.target_rows]
    targets = dict(zip(users, SPLIT.item_ids[questions.targets], strict=True))
    is_target = examples.about["item_id"] == examples.about["user_id"].map(targets)
    assert is_target.sum() == 40
    useless = dict.fromkeys(SCORINGS, np.zeros(len(examples)))
    right = is_target.to_numpy() * 100.0
    for scores, wanted in (
        (useless, ("sum", 0.1)),  # popularity alone is better than ties
        (useless | {"mean, lift": right}, ("mean, lift", 0.0)),
        # What is to be added to the logarithm of popularity, so that only the target stands out.
        (useless | {"sum, lift": right / 100 - np.log1p(counts)}, ("sum, lift", 1.0)),
    ):
        monkeypatch.setattr(task, "scores", lambda *_, scores=scores: scores)
        chosen = task.choose(model, data, PROMPTS, 40)
        assert chosen == {"score": task.scoring, "popularity weight": task.popularity_weight}
        assert (task.scoring, task.popularity_weight) == wanted


def test_the_known_region_asks_for_the_next_event_as_pretraining_does() -> None:
    examples = Ranking().encode(QUERIES, CANDIDATES, PROMPTS)
    shown = TOKENIZER.decode(examples.known[0].tolist(), specials=True)
    assert shown.startswith("[BOS'][USER]")
    assert shown.endswith("[EVENT][MASK][EOS']")
    written = TOKENIZER.decode(examples.written[0].tolist(), specials=True)
    assert written == f"[BOS]clicked {TEXT.item(int(ITEMS[5]))}[EOS]"
    also = Ranking("also").encode(QUERIES, CANDIDATES, PROMPTS)
    assert "[MASK]" not in TOKENIZER.decode(also.known[0].tolist(), specials=True)
    assert "also clicks" in TOKENIZER.decode(also.written[0].tolist())


def test_a_long_history_leaves_room_for_the_longest_candidate() -> None:
    longest = int(SPLIT.train.histories().lengths.argmax())
    history = SPLIT.train.histories()[longest : longest + 1]
    examples = Ranking().encode(history, [ITEMS[:20]], PromptBuilder(TEXT, TOKENIZER, 300))
    assert examples.lengths.max() <= 300


def test_a_language_model_of_others_ranks_the_same_examples() -> None:
    torch.manual_seed(1)
    reference = GPT2Config(vocab_size=TOKENIZER.vocab_size, n_positions=1024, n_embd=32, n_layer=2,
                        n_head=2)  # fmt: skip
    network = GPT2LMHeadModel(reference).double().eval()
    generator = CausalGenerator(CausalLM(network), _Reference(), TOKENIZER)
    task = Ranking("also")
    examples = task.encode(QUERIES, CANDIDATES, PROMPTS)
    result = task.predict(generator, examples, scoring="sum")
    for position in (0, 4):
        prompt = generator.prompt(examples.known[position], examples.written[position][:1])
        ending = generator.ending(examples.written[position][1:])[:-1]
        with torch.no_grad():
            logits = network(torch.tensor([prompt + ending])).logits[0]
        chances = logits.log_softmax(dim=1)
        sums = sum(float(chances[len(prompt) + k - 1, token]) for k, token in enumerate(ending))
        assert result[position] == pytest.approx(sums, rel=1e-9)


class _Reference:
    """Our tokenizer with the few words of theirs."""

    eos_token_id = TOKENIZER.id("[EOS]")

    def __call__(self, text: str, **options: object) -> dict[str, list[int]]:
        return {"input_ids": TOKENIZER.encode(text)}


def test_training_on_a_sentence_makes_it_likelier_and_the_loss_is_its_nats(model) -> None:
    torch.manual_seed(0)
    learner = M6RecModel(M6RecConfig.of_size("nano", TOKENIZER, **SHAPE))
    task = Ranking()
    examples = task.encode(QUERIES[:1], [ITEMS[[5, 9]]], PROMPTS)
    batch = collate(examples, np.array([0, 1]))
    nats = -task.predict(model, examples, scoring="sum")
    ends = []
    for known, written in zip(examples.known, examples.written, strict=True):
        row = torch.from_numpy(np.concatenate([known, written]).astype(np.int64))[None]
        logits = model(row, prefix_length=len(known)).logits[0, -2].log_softmax(dim=0)
        ends.append(-float(logits[TOKENIZER.id("[EOS]")].detach()))
    tokens = sum(len(written) - 1 for written in examples.written)
    wanted = (nats.sum() + sum(ends)) / tokens
    assert task.loss(model, batch).item() == pytest.approx(wanted, rel=1e-9)
    before = task.predict(learner, examples)
    train_jointly(
        MultiTaskModel(learner, {"ranking": task}),
        {"ranking": TaskBatches(examples[[0]])},
        Weights(finetune={"ranking": 1.0}),
        steps=15,
        lr=1e-2,
        progress=False,
    )
    after = task.predict(learner, examples)
    assert after[0] - before[0] > 1
    assert after[0] > after[1]


def test_bad_input_is_said() -> None:
    task = Ranking()
    with pytest.raises(DataError, match=r"row 1 .* no candidates"):
        task.encode(QUERIES, [ITEMS[:1], [], ITEMS[:1]], PROMPTS)
    with pytest.raises(DataError, match="one list a history"):
        task.encode(QUERIES, [ITEMS[:1]], PROMPTS)
    with pytest.raises(DataError):
        task.encode(QUERIES[:1], [[-1]], PROMPTS)
    with pytest.raises(ValueError, match="template must be one of"):
        Ranking("poetry")
    with pytest.raises(ValueError, match="event must be one of"):
        Ranking(event="sniff")
    empty = Histories.from_lists([[]], SPLIT.item_ids, user_ids=[-5], at=1_700_000_000)
    examples = task.encode(empty, [ITEMS[:2]], PROMPTS)
    with pytest.raises(ValueError, match="have no tokenizer"):
        task.predict(
            M6RecModel(M6RecConfig.of_size("nano", TOKENIZER, **SHAPE)),
            replace(examples, tokenizer=None),
        )
    assert task.encode(QUERIES[:0], [], PROMPTS).lengths.tolist() == []
