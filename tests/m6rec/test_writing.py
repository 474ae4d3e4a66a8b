"""Tasks that write: the loss, generation with a cache, likelihood; by M6-Rec and by others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from m6rec_lite.evaluation.text import perplexity
from m6rec_lite.language.models.causal_lm import CausalLM
from m6rec_lite.language.text.behaviour import BehaviourText
from m6rec_lite.language.text.document import Document, encode_document
from m6rec_lite.language.text.tokenizer import SPECIALS, Tokenizer
from m6rec_lite.m6rec import M6RecConfig, M6RecModel
from m6rec_lite.m6rec.prompts import PromptBuilder
from m6rec_lite.m6rec.tasks import Examples, TaskBatches, collate
from m6rec_lite.m6rec.tasks.explanation import Explanation
from m6rec_lite.m6rec.tasks.generation import GenerationTask, text_figures
from m6rec_lite.m6rec.tasks.generators import (
    CausalGenerator,
    PrefixGenerator,
    plain_text,
    read_document,
)
from m6rec_lite.m6rec.tasks.rows import BEGUN, Row, examples_of
from m6rec_lite.nn.sampling import Sampler
from m6rec_lite.training import fit
from tests.worlds import shipped

DATASET = shipped()
TOKENIZER = Tokenizer.train(DATASET.items["title"], 500)
PROMPTS = PromptBuilder(BehaviourText(DATASET), TOKENIZER, 200)
SHAPE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
EOS = TOKENIZER.id("[EOS]")


class Saying(GenerationTask):
    """A task with nothing of its own."""

    name = "saying"

    _examples = _baselines = None


TASK = Saying()


def make_model(**changes) -> M6RecModel:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return M6RecModel(M6RecConfig.of_size("nano", TOKENIZER, **(SHAPE | changes)))


@pytest.fixture(scope="module")
def model() -> M6RecModel:
    made = make_model().double().eval()
    with torch.no_grad():  # far from uniform, so that choices are clear
        made.embedding.weight.mul_(8)
    return made


def row(known: str, rest: str, begun: str = "because") -> Row:
    return Row(
        Document((("[USER]", known),)), Document(((None, begun),)), Document(((None, rest),))
    )


WORDS = ["trail", "saxophone and a long evening", "", "oven", "the comet, the moon and the stars"]
ROWS = [row(f"likes {w} " * (i + 1), f" of {w}") for i, w in enumerate(WORDS)]
EXAMPLES = examples_of(PROMPTS, ROWS)


def full_logits(model: M6RecModel, known: np.ndarray, written: list[int]) -> torch.Tensor:
    """Logits of all places by one pass without a cache."""
    ids = torch.tensor([[*known.tolist(), *written]])
    with torch.no_grad():
        return model(ids, prefix_length=len(known), use_cache=False).logits[0]


def test_a_row_is_known_begun_and_the_rest() -> None:
    some = examples_of(PROMPTS, [row("somebody", " of it")])
    shown = TOKENIZER.decode(np.concatenate([some.known[0], some.written[0]]), specials=True)
    assert shown == "[BOS'][USER]somebody[EOS'][BOS]because of it[EOS]"
    begun = some.about[BEGUN].iloc[0]
    assert TOKENIZER.decode(some.written[0][:begun], specials=True) == "[BOS]because"


def test_what_may_be_spared_goes_in_its_order_until_the_row_fits() -> None:
    pieces = (("[USER]", "who are you"), ("[EVENT]", "the first"), ("[EVENT]", "the second one"))
    end = Document(()), Document(((None, "x"),))
    for gone in ((), (1,), (1, 2)):
        left = Document(tuple(piece for i, piece in enumerate(pieces) if i not in gone))
        size = int(examples_of(PROMPTS, [Row(left, *end)]).lengths[0])
        whole = Row(Document(pieces), *end, spare=(1, 2))
        (known,) = examples_of(PromptBuilder(PROMPTS.text, TOKENIZER, size), [whole]).known
        assert read_document(TOKENIZER, known[1:-1]) == left
    with pytest.raises(ValueError, match=r"row 0 .*more than max_tokens=8"):
        examples_of(PromptBuilder(PROMPTS.text, TOKENIZER, 8), [row("a long story " * 20, "x")])


def test_the_loss_is_the_mean_over_written_tokens(model: M6RecModel) -> None:
    batch = collate(EXAMPLES, np.arange(len(EXAMPLES)))
    losses = []
    for known, written in zip(EXAMPLES.known, EXAMPLES.written, strict=True):
        logits = full_logits(model, known, written.tolist())[len(known) : -1]
        losses.append(F.cross_entropy(logits, torch.tensor(written[1:]).long(), reduction="none"))
    torch.testing.assert_close(TASK.loss(model, batch), torch.cat(losses).mean())


def test_a_batch_without_anything_written_is_refused(model: M6RecModel) -> None:
    empty = Examples([np.array([1, 20, 2])], [np.array([3])], np.zeros(1))
    with pytest.raises(ValueError, match="nothing written"):
        TASK.loss(model, collate(empty, np.arange(1)))


def test_cached_writing_equals_full_passes(model: M6RecModel) -> None:
    written = TASK.predict(model, EXAMPLES, max_new_tokens=12)
    for i, one in enumerate(written):
        begun = EXAMPLES.written[i][: EXAMPLES.about[BEGUN].iloc[i]].tolist()
        ids: list[int] = []
        while len(ids) < 12 and (not ids or ids[-1] != EOS):
            ids.append(int(full_logits(model, EXAMPLES.known[i], begun + ids)[-1].argmax()))
        assert one.ids == ids
        assert one.ended == (ids[-1] == EOS)


@pytest.mark.parametrize("positions", ["rotary", "learned"])
def test_a_batch_writes_as_each_row_alone(positions: str) -> None:
    model = make_model(positions=positions, max_position_embeddings=256).double().eval()
    drawn = {"sampler": Sampler(temperature=1.3, top_p=0.9), "seed": 5, "max_new_tokens": 10}
    together = TASK.predict(model, EXAMPLES, **drawn)
    assert len({tuple(one.ids) for one in together}) == len(together)
    one_by_one = TASK.predict(model, EXAMPLES, batch_tokens=1, **drawn)
    assert [one.ids for one in together] == [one.ids for one in one_by_one]
    other = TASK.predict(model, EXAMPLES, **(drawn | {"seed": 6}))
    assert [one.ids for one in together] != [one.ids for one in other]
    beams = {"n_beams": 3, "max_new_tokens": 6}
    together = TASK.predict(model, EXAMPLES, **beams)
    one_by_one = TASK.predict(model, EXAMPLES, batch_tokens=1, **beams)
    assert [one.ids for one in together] == [one.ids for one in one_by_one]


def test_likelihood_equals_the_full_pass(model: M6RecModel) -> None:
    nats, sizes = TASK.log_likelihood(model, EXAMPLES)
    for i, (known, written) in enumerate(zip(EXAMPLES.known, EXAMPLES.written, strict=True)):
        begun = EXAMPLES.about[BEGUN].iloc[i]
        log_probs = full_logits(model, known, written.tolist()).log_softmax(1)
        positions = range(len(known) + begun - 1, len(known) + len(written) - 1)
        wanted = sum(
            float(log_probs[p, t]) for p, t in zip(positions, written[begun:].tolist(), strict=True)
        )
        assert nats[i] == pytest.approx(wanted, rel=1e-9)
        assert sizes[i] == len(written) - begun
    alone = TASK.log_likelihood(model, EXAMPLES, batch_tokens=1)
    np.testing.assert_allclose(nats, alone[0], rtol=1e-9)
    assert perplexity(nats, sizes) > 1


def test_wide_beams_find_the_likeliest_of_all_texts(model: M6RecModel) -> None:
    some = EXAMPLES[:1]
    (best,) = TASK.predict(model, some, n_beams=500, length_power=0.0, max_new_tokens=2)
    begun = some.written[0][: some.about[BEGUN].iloc[0]].tolist()
    first = full_logits(model, some.known[0], begun)[-1].log_softmax(0)
    likeliest = {(EOS,): float(first[EOS])}
    for token in first.topk(60).indices.tolist():
        if token != EOS:
            second = full_logits(model, some.known[0], [*begun, token])[-1].log_softmax(0)
            likeliest[token, int(second.argmax())] = float(first[token] + second.max())
    assert tuple(best.ids) == max(likeliest, key=likeliest.get)


def test_a_planted_reason_is_learnt_and_written() -> None:
    reasons = {"trail": " of the view", "oven": " of the bread", "comet": " of the night"}
    others = ["red", "blue", "small", "large", "old", "new", "quiet", "loud"]
    rows = [row(f"{o} {w} {o}", reason) for w, reason in reasons.items() for o in others]
    examples = examples_of(PROMPTS, rows)
    model = make_model()
    tests = np.arange(len(rows)) % len(others) == 0  # one of each, in company never seen
    fit(
        model,
        TaskBatches(examples[~tests], 512),
        TASK.loss,
        optimizer=torch.optim.AdamW(model.parameters(), lr=5e-3),
        steps=100,
        device="cpu",
        precision="fp32",
        progress=False,
    )
    texts = [one.text for one in TASK.predict(model, examples[tests])]
    assert texts == [reason.strip() for reason in reasons.values()]
    nats, _ = TASK.log_likelihood(model, examples[tests])
    assert (nats > -1.5).all()


def test_dropout_is_off_while_writing_and_comes_back() -> None:
    model = make_model(dropout=0.5).train()
    first, second = (TASK.log_likelihood(model, EXAMPLES[:2])[0].tolist() for _ in range(2))
    assert first == second
    assert model.training


def test_nothing_to_write_gives_nothing(model: M6RecModel) -> None:
    assert TASK.predict(model, EXAMPLES[:0]) == []
    assert len(TASK.log_likelihood(model, EXAMPLES[:0])[0]) == 0


def test_what_does_not_fit_is_refused(model: M6RecModel) -> None:
    with pytest.raises(ValueError, match="have no tokenizer"):
        TASK.predict(model, replace(EXAMPLES, tokenizer=None))
    other = Tokenizer.train(["something else entirely"] * 3, 300)
    with pytest.raises(ValueError, match="made for the tokenizer"):
        TASK.predict(model, replace(EXAMPLES, tokenizer=other))
    short = make_model(positions="learned", max_position_embeddings=16).eval()
    with pytest.raises(ValueError, match="do not fit the model's context"):
        TASK.predict(short, EXAMPLES)
    nothing = Examples([np.array([1, 2])], [np.array([3])], np.zeros(1), tokenizer=TOKENIZER)
    with pytest.raises(ValueError, match="nothing written beyond"):
        TASK.log_likelihood(model, nothing)


def test_phrases_are_data_and_checked() -> None:
    changed = Explanation(phrases={"begun": "since"})
    assert changed.phrases["begun"] == "since"
    assert Explanation(**changed.settings()).phrases == changed.phrases
    with pytest.raises(ValueError, match="no phrase 'beginning'"):
        Explanation(phrases={"beginning": "since"})
    with pytest.raises(ValueError, match=r"uses \['price'\]"):
        Explanation(phrases={"aspect": "of {price}"})


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(SPECIALS[1:]), st.text(max_size=12)), min_size=1, max_size=6)
)
def test_a_document_is_read_back_from_its_tokens(pieces: list[tuple[str, str]]) -> None:
    try:
        ids = encode_document(TOKENIZER, Document(tuple(pieces)))
    except ValueError:  # half a character
        return
    assert read_document(TOKENIZER, ids).pieces == tuple(pieces)


def test_plain_text_says_pieces_in_lines_and_blanks_as_lines() -> None:
    document = Document((("[USER]", "A woman."), ("[EVENT]", "clicked"), (None, " it"),
                         ("[ITEM]", "named “"), ("[MASK]", "”"), ("[EOS]", "")))  # fmt: skip
    assert plain_text(document) == "A woman.\nclicked it\nnamed “___”"


@pytest.fixture(scope="module")
def plain() -> CausalGenerator:
    """A small GPT-2 with a tokenizer of its own."""
    reference = Tokenizer.train([*DATASET.items["title"][:300], "a\nb\nc\n"], 400)
    fast = PreTrainedTokenizerFast(tokenizer_object=reference.backend, eos_token="[EOS]")
    torch.manual_seed(1)
    config = GPT2Config(vocab_size=400, n_positions=256, n_embd=32, n_layer=2, n_head=2)
    model = GPT2LMHeadModel(config).double().eval()
    return CausalGenerator(CausalLM(model), fast, TOKENIZER)


def test_any_causal_model_writes_by_its_text(plain: CausalGenerator) -> None:
    some = EXAMPLES[:3]
    begun = some.written[0][: some.about[BEGUN].iloc[0]]
    prompt = plain.model_tokenizer.decode(plain.prompt(some.known[0], begun))
    assert prompt == "likes trail \nbecause"
    written = TASK.predict(plain, some, max_new_tokens=8)
    alone = TASK.predict(plain, some, max_new_tokens=8, batch_tokens=1)
    assert [one.ids for one in written] == [one.ids for one in alone]
    assert all("\n" not in one.text for one in written)
    nats, sizes = TASK.log_likelihood(plain, some)
    ids = plain.prompt(some.known[0], begun)
    ending = plain.ending(some.written[0][len(begun) :])
    assert plain.model_tokenizer.decode(ending) == " of trail\n"
    with torch.no_grad():
        logits = plain.model.model(torch.tensor([ids + ending])).logits[0].log_softmax(1)
    wanted = sum(float(logits[len(ids) - 1 + k, token]) for k, token in enumerate(ending))
    assert nats[0] == pytest.approx(wanted, rel=1e-9)
    assert sizes[0] == len(ending)


def test_a_writer_is_taken_as_it_is(model: M6RecModel) -> None:
    writer = PrefixGenerator(model, TOKENIZER)
    by_writer = TASK.predict(writer, EXAMPLES[:2], max_new_tokens=4)
    by_model = TASK.predict(model, EXAMPLES[:2], max_new_tokens=4)
    assert [one.ids for one in by_writer] == [one.ids for one in by_model]


def test_figures_of_texts_by_hand() -> None:
    result = text_figures(["a b", "a b"], ["a b", "c d"])
    assert result["distinct-1"] == 2 / 4
    assert result["distinct-2"] == 1 / 2
    assert result["distinct-2 of people"] == 1.0
    assert result["unique"] == 1 / 2
    assert result["ROUGE-1"] == result["ROUGE-L"] == 0.5
    with pytest.raises(ValueError, match="at least one text"):
        text_figures([], [])
