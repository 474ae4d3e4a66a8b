"""Sampling, beams, likelihoods: against transformers, plain references, exhaustive search."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import (
    LogitsProcessorList,
    NoRepeatNGramLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from m6rec_lite.nn.beams import beam_search
from m6rec_lite.nn.cache import KeyValueCache
from m6rec_lite.nn.likelihood import log_likelihood
from m6rec_lite.nn.repetition import no_repeat, repetition_penalty
from m6rec_lite.nn.sampling import GREEDY, Sampler, generate, temperature, top_k, top_p
from m6rec_lite.nn.transformer import Transformer, TransformerConfig

INF = math.inf


def random_logits(rows: int = 6, vocab: int = 40, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 3 * torch.randn(rows, vocab, generator=generator, dtype=torch.float64)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# The functions on logits


@pytest.mark.parametrize("t", [0.3, 1.0, 2.5])
def test_temperature_equals_transformers(t: float) -> None:
    logits = random_logits()
    torch.testing.assert_close(temperature(logits, t), TemperatureLogitsWarper(t)(None, logits))


def test_temperature_0_leaves_the_first_of_the_highest() -> None:
    left = temperature(torch.tensor([[1.0, 5.0, 5.0], [-3.0, -4.0, -5.0]]), 0)
    assert left.tolist() == [[-INF, 5.0, -INF], [-3.0, -INF, -INF]]


@pytest.mark.parametrize("t", [-0.1, -1.0, INF, math.nan])
def test_a_temperature_out_of_range_is_refused(t: float) -> None:
    with pytest.raises(ValueError, match="temperature must be at least 0"):
        temperature(random_logits(), t)


@pytest.mark.parametrize("k", [1, 3, 40, 100])
def test_top_k_equals_transformers_without_ties(k: int) -> None:
    logits = random_logits()
    torch.testing.assert_close(top_k(logits, k), TopKLogitsWarper(k)(None, logits))


@given(
    logits=st.lists(st.integers(-3, 3), min_size=1, max_size=12),
    k=st.integers(1, 14),
)
def test_top_k_keeps_k_and_of_equal_ones_the_first(logits: list[int], k: int) -> None:
    kept = top_k(torch.tensor([logits], dtype=torch.float64), k)[0]
    wanted = sorted(range(len(logits)), key=lambda i: (-logits[i], i))[:k]
    assert sorted(wanted) == torch.isfinite(kept).nonzero()[:, 0].tolist()
    assert [kept[i].item() for i in wanted] == [logits[i] for i in wanted]


def test_top_k_below_1_is_refused() -> None:
    with pytest.raises(ValueError, match="top_k must be at least 1, got 0"):
        top_k(random_logits(), 0)


@pytest.mark.parametrize("p", [0.05, 0.5, 0.9, 0.999, 1.0])
def test_top_p_equals_transformers(p: float) -> None:
    logits = random_logits()
    torch.testing.assert_close(top_p(logits, p), TopPLogitsWarper(p)(None, logits))


@given(
    weights=st.lists(st.integers(1, 60), min_size=1, max_size=12),
    share=st.fractions(min_value=0, max_value=1, max_denominator=97),
)
def test_top_p_keeps_the_smallest_set_that_reaches_p(weights: list[int], share) -> None:
    """The reference counts in whole numbers; where a set reaches p exactly, either is right."""
    if share == 0:
        return
    total = sum(weights)
    order = sorted(range(len(weights)), key=lambda i: (-weights[i], i))
    ahead, wanted, exact = 0, [], False
    for i in order:
        exact = exact or ahead == share * total
        if ahead >= share * total:
            break
        wanted.append(i)
        ahead += weights[i]
    logits = torch.tensor([weights], dtype=torch.float64).log()
    kept = torch.isfinite(top_p(logits, float(share)))[0].nonzero()[:, 0].tolist()
    if not exact or share == 1:
        assert kept == sorted(wanted)
    else:
        assert set(wanted) <= set(kept)
        assert len(kept) <= len(wanted) + 1


def test_top_p_always_keeps_one_and_the_first_of_equal_ones() -> None:
    assert top_p(torch.zeros(1, 4), 1e-9).tolist() == [[0.0, -INF, -INF, -INF]]
    assert torch.isfinite(top_p(torch.zeros(1, 4), 0.74)).tolist() == [[True, True, True, False]]


@pytest.mark.parametrize("p", [0.0, -0.1, 1.01, math.nan])
def test_a_top_p_out_of_range_is_refused(p: float) -> None:
    with pytest.raises(ValueError, match="top_p must be above 0 and at most 1"):
        top_p(random_logits(), p)


@pytest.mark.parametrize("penalty", [0.8, 1.0, 1.3])
def test_repetition_penalty_equals_transformers(penalty: float) -> None:
    logits, text = random_logits(), torch.randint(40, (6, 9), generator=seeded(1))
    wanted = RepetitionPenaltyLogitsProcessor(penalty)(text, logits)
    torch.testing.assert_close(repetition_penalty(logits, text, penalty), wanted)


def test_repetition_penalty_is_the_papers_on_positive_logits_and_skips_padding() -> None:
    logits = random_logits().abs() + 0.1
    text = torch.tensor([[-1, 3], [5, 5], [-1, -1], [0, 39], [1, 2], [7, -1]])
    wanted = logits.clone()
    for row, ids in enumerate(text.tolist()):
        for token in set(ids) - {-1}:
            wanted[row, token] = logits[row, token] / 1.2  # equation 1 of Keskar et al.
    torch.testing.assert_close(repetition_penalty(logits, text, 1.2), wanted)


def test_a_repeated_token_never_gains() -> None:
    logits, text = random_logits(), torch.arange(20).expand(6, 20)
    assert bool((repetition_penalty(logits, text, 1.5) <= logits).all())
    for wrong in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match="repetition_penalty must be above 0"):
            repetition_penalty(logits, text, wrong)


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_no_repeat_equals_transformers(n: int) -> None:
    logits, text = random_logits(vocab=4), torch.randint(4, (6, 30), generator=seeded(2))
    wanted = NoRepeatNGramLogitsProcessor(n)(text, logits)
    assert bool(torch.isinf(wanted).any()) or n == 5
    assert torch.equal(no_repeat(logits, text, n), wanted)
    assert torch.equal(no_repeat(logits, text[:, : n - 1], n), logits)  # too short to repeat
    with pytest.raises(ValueError, match="no_repeat must be at least 1"):
        no_repeat(logits, text, 0)


def test_no_repeat_does_not_take_padding_for_text() -> None:
    text = torch.tensor([[-1, -1, -1, 2, 3, 2]])
    for n in (1, 2, 3, 4):
        alone = no_repeat(torch.zeros(1, 5), text[:, 3:], n)
        assert torch.equal(no_repeat(torch.zeros(1, 5), text, n), alone)


def test_a_sampler_equals_the_chain_of_transformers() -> None:
    logits, text = random_logits(vocab=60), torch.randint(60, (6, 25), generator=seeded(3))
    chain = LogitsProcessorList(
        [
            RepetitionPenaltyLogitsProcessor(1.2),
            NoRepeatNGramLogitsProcessor(2),
            TemperatureLogitsWarper(0.7),
            TopKLogitsWarper(12),
            TopPLogitsWarper(0.8),
        ]
    )
    ours = Sampler(0.7, 12, 0.8, 1.2, 2)(logits, text)
    torch.testing.assert_close(ours, chain(text, logits))
    assert 6 < int(torch.isfinite(ours).sum()) < 6 * 12


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"temperature": -1.0}, "temperature"),
        ({"top_k": 0}, "top_k"),
        ({"top_p": 0.0}, "top_p"),
        ({"top_p": 1.5}, "top_p"),
        ({"repetition_penalty": 0.0}, "repetition_penalty"),
        ({"no_repeat": 0}, "no_repeat"),
    ],
)
def test_a_sampler_out_of_range_is_refused_when_it_is_made(wrong: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Sampler(**wrong)


def test_draws_follow_the_probabilities() -> None:
    chances = torch.tensor([0.5, 0.0, 0.2, 0.3, 0.0])
    n = 40_000
    logits = chances.log().expand(n, 5)
    uniform = torch.rand(n, generator=seeded(0), dtype=torch.float64)
    drawn = Sampler().choose(logits, torch.zeros(n, 0, dtype=torch.int64), uniform)
    counts = torch.bincount(drawn, minlength=5)
    assert counts[1] == counts[4] == 0
    error = (chances * (1 - chances) / n).sqrt()
    assert bool(((counts / n - chances).abs() <= 5 * error).all())


@pytest.mark.parametrize("u", [0.0, 0.5, 1 - 2**-53])
def test_the_ends_of_the_random_numbers_draw_tokens_that_can_be(u: float) -> None:
    logits = torch.tensor([[-INF, 0.0, -INF, 0.0, -INF]])
    uniform = torch.tensor([u], dtype=torch.float64)
    drawn = Sampler().choose(logits, torch.zeros(1, 0, dtype=torch.int64), uniform)
    assert drawn.item() in (1, 3)


@pytest.mark.parametrize("sampler", [GREEDY, Sampler()])
def test_logits_that_leave_nothing_to_choose_are_reported(sampler: Sampler) -> None:
    for bad in (-INF, math.nan):
        logits = torch.stack([torch.zeros(3), torch.full((3,), bad)])
        with pytest.raises(FloatingPointError, match="row 1 has no token to choose from"):
            sampler.choose(logits, torch.zeros(2, 0, dtype=torch.int64), torch.zeros(2).double())


# A model to write with


class Tiny(torch.nn.Module):
    """A causal Transformer over a few tokens, in float64, with rotary positions."""

    def __init__(self, vocab: int, seed: int = 0, context: int | None = None) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.embedding = torch.nn.Embedding(vocab, 12)
        config = TransformerConfig(12, 2, 3, dropout=0.2, rotary_base=100.0)
        self.transformer = Transformer(config)
        self.double()
        for weight in self.parameters():
            torch.nn.init.normal_(weight, std=0.4)
        if context is not None:
            self.context = context
        self.seen: list[int] = []  # how many tokens each call read

    def step(self, ids, cache, *, mask=None, positions=None, last=True):
        self.seen.append(ids.numel())
        seen = None if mask is None else mask[:, None, None, :]
        x = self.transformer(
            self.embedding(ids), seen, causal=True, positions=positions, cache=cache
        )
        logits = x @ self.embedding.weight.t()
        return logits[:, -1] if last else logits

    @torch.no_grad()
    def full(self, ids: list[int]) -> torch.Tensor:
        """``(len(ids), vocab)`` logits of a full pass, without a cache."""
        x = self.transformer(self.embedding(torch.tensor([ids])), causal=True)
        return (x @ self.embedding.weight.t())[0]


@pytest.fixture(scope="module")
def model() -> Tiny:
    return Tiny(11).eval()


PROMPTS = [[3, 1, 4], [1], [5, 9, 2, 6, 5], [3, 5, 8, 9, 7]]


def written_plainly(model: Tiny, prompt: list[int], n: int, sampler: Sampler, generator=None):
    """One row, one full pass a token."""
    ids = list(prompt)
    for _ in range(n):
        logits = sampler(model.full(ids)[-1:], torch.tensor([ids]))
        if sampler.temperature == 0:
            ids.append(int(logits.argmax()))
            continue
        u = torch.rand(1, generator=generator, dtype=torch.float64)
        below = torch.softmax(logits[0], dim=0).cumsum(0)
        ids.append(int((below <= u * below[-1]).sum()))
    return ids[len(prompt) :]


SAMPLERS = [
    GREEDY,
    Sampler(),
    Sampler(0.7, top_k=5),
    Sampler(1.3, top_p=0.8),
    Sampler(0.9, 6, 0.9, 1.4, 2),
    Sampler(0.0, no_repeat=2, repetition_penalty=1.1),
]


@pytest.mark.parametrize("sampler", SAMPLERS, ids=str)
def test_a_batch_with_a_cache_writes_what_full_passes_write_one_by_one(
    model: Tiny, sampler: Sampler
) -> None:
    together = generate(
        model, PROMPTS, max_new_tokens=12, sampler=sampler, generator=[*map(seeded, range(4))]
    )
    for i, prompt in enumerate(PROMPTS):
        assert together[i] == written_plainly(model, prompt, 12, sampler, seeded(i))


def test_the_cache_reads_each_token_once(model: Tiny) -> None:
    model.seen.clear()
    generate(model, [[1, 2, 3], [4, 5, 6]], max_new_tokens=5)
    assert model.seen == [6, 2, 2, 2, 2]


def test_the_same_seed_writes_the_same_and_another_does_not(model: Tiny) -> None:
    first, again, other = (
        generate(model, PROMPTS, max_new_tokens=20, sampler=Sampler(), generator=seeded(s))
        for s in (1, 1, 2)
    )
    assert first == again != other
    state = torch.get_rng_state()
    generate(model, PROMPTS, max_new_tokens=3, sampler=Sampler(), generator=seeded(0))
    assert torch.equal(state, torch.get_rng_state())


def test_a_row_that_stops_ends_with_its_stop_token_and_moves_no_other(model: Tiny) -> None:
    draw = {"max_new_tokens": 15, "sampler": Sampler()}
    free = generate(model, PROMPTS, **draw, generator=seeded(3))
    stop = {4, 7}
    stopped = generate(model, PROMPTS, **draw, stop=stop, generator=seeded(3))
    ends = []
    for long, short in zip(free, stopped, strict=True):
        end = next((i for i, token in enumerate(long) if token in stop), len(long) - 1)
        assert short == long[: end + 1]
        ends.append(end)
    assert len(set(ends)) > 1, "the rows should stop at different times"


def test_a_model_in_training_writes_without_dropout_and_goes_on_training(model: Tiny) -> None:
    wanted = generate(model, PROMPTS, max_new_tokens=8)
    model.train()
    model.transformer.blocks[0].eval()
    try:
        assert generate(model, PROMPTS, max_new_tokens=8) == wanted
        assert generate(model.step, PROMPTS, max_new_tokens=8) == wanted  # the function alone
        assert model.training
        assert not model.transformer.blocks[0].training
        assert model.transformer.blocks[1].training
    finally:
        model.eval()


def test_nothing_but_the_allowed_is_written(model: Tiny) -> None:
    """A catalogue of three titles as a trie: what is written is one of them."""
    titles = [[1, 2, 3], [1, 2, 4, 5], [6]]

    def allowed(so_far: list[int]) -> set[int]:
        n = len(so_far)
        return {title[n] for title in titles if title[:n] == so_far and len(title) > n}

    result = set()
    for seed in range(8):
        for ids in generate(
            model, PROMPTS, max_new_tokens=9, sampler=Sampler(2.0), allowed=allowed,
            generator=seeded(seed),
        ):  # fmt: skip
            assert ids in titles
            result.add(tuple(ids))
    assert len(result) == 3
    # The search finds all titles; what is forbidden takes no chance from the model's own.
    for prompt, beams in zip(
        PROMPTS, beam_search(model, PROMPTS, max_new_tokens=9, allowed=allowed), strict=True
    ):
        assert sorted(beam.ids for beam in beams) == sorted(titles)
        for beam in beams:
            assert beam.log_prob == pytest.approx(plain_likelihood(model, prompt, beam.ids))


def test_where_nothing_may_begin_it_is_reported(model: Tiny) -> None:
    for write in (generate, beam_search):
        with pytest.raises(ValueError, match="allowed permits no first token"):
            write(model, PROMPTS, max_new_tokens=3, allowed=lambda so_far: [])
        with pytest.raises(ValueError, match="allowed ids must be from 0 to 10, got 3 to 11"):
            write(model, PROMPTS, max_new_tokens=3, allowed=lambda so_far: [3, 11])


@pytest.mark.parametrize(
    ("prompts", "options", "kind", "message"),
    [
        ([], {}, ValueError, "there is no prompt"),
        ([[1], []], {}, ValueError, "prompt 1 is empty"),
        ([1, 2], {}, TypeError, r"write \[ids\] for a single prompt"),
        ("text", {}, TypeError, "encode texts first"),
        ([[1]], {"max_new_tokens": 0}, ValueError, "max_new_tokens must be at least 1"),
        ([[1]], {"sampler": Sampler()}, ValueError, r"needs generator=torch.Generator\(\)"),
        ([[1] * 6], {"max_new_tokens": 6}, ValueError, "context of 10: cut the prompt"),
    ],
)
def test_what_cannot_be_written_is_reported(
    prompts, options: dict, kind: type, message: str
) -> None:
    model = Tiny(5, context=10)
    with pytest.raises(kind, match=message):
        generate(model, prompts, **{"max_new_tokens": 5} | options)


def test_the_context_can_be_filled_to_the_last_position() -> None:
    model = Tiny(5, context=10)  # the last token written is never read
    assert [len(ids) for ids in generate(model, [[1] * 6], max_new_tokens=5)] == [5]


# Beams


def plain_likelihood(model: Tiny, prompt: list[int], continuation: list[int]) -> float:
    log_probs = torch.log_softmax(model.full([*prompt, *continuation]), dim=1)
    rows = range(len(prompt) - 1, len(prompt) + len(continuation) - 1)
    return sum(float(log_probs[row, i]) for row, i in zip(rows, continuation, strict=True))


def exhaustive(model: Tiny, prompt: list[int], n: int, stop: set[int], power: float, vocab: int):
    """All texts that end at a stop token or after n tokens, best first."""
    result = []
    for length in range(1, n + 1):
        for ids in itertools.product(range(vocab), repeat=length):
            stops = [position for position, token in enumerate(ids) if token in stop]
            if stops == [length - 1] or (length == n and not stops):
                result.append(list(ids))
    scored = [(plain_likelihood(model, prompt, ids) / len(ids) ** power, ids) for ids in result]
    return sorted(scored, reverse=True)


@pytest.mark.parametrize("stop", [set(), {2}, {0, 1}])
@pytest.mark.parametrize("power", [0.0, 0.7, 1.0])
def test_wide_beams_find_what_exhaustive_search_finds(stop: set[int], power: float) -> None:
    vocab, n = 3, 4
    model = Tiny(vocab, seed=1).eval()
    prompts = [[1, 2], [0, 0, 1]]
    together = beam_search(
        model, prompts, max_new_tokens=n, n_beams=vocab**n, stop=stop, length_power=power
    )
    for prompt, beams in zip(prompts, together, strict=True):
        wanted = exhaustive(model, prompt, n, stop, power, vocab)
        assert [beam.ids for beam in beams] == [ids for _, ids in wanted]
        assert [beam.score for beam in beams] == pytest.approx([score for score, _ in wanted])


def test_the_search_that_ends_early_loses_nothing() -> None:
    """With few beams the best of what is found still equals a search that never ends early."""
    model = Tiny(4, seed=2).eval()
    best = beam_search(model, [[1], [2, 3]], max_new_tokens=5, n_beams=4**4, stop={0, 1})
    few = beam_search(model, [[1], [2, 3]], max_new_tokens=5, n_beams=16, stop={0, 1})
    assert [beams[0].ids for beams in few] == [beams[0].ids for beams in best]


def test_one_beam_is_greedy_and_a_batch_equals_single_prompts(model: Tiny) -> None:
    one = beam_search(model, PROMPTS, max_new_tokens=6, n_beams=1)
    assert [beams[0].ids for beams in one] == generate(model, PROMPTS, max_new_tokens=6)
    together = beam_search(model, PROMPTS, max_new_tokens=6, n_beams=3, stop={4})
    for prompt, beams in zip(PROMPTS, together, strict=True):
        (alone,) = beam_search(model, [prompt], max_new_tokens=6, n_beams=3, stop={4})
        assert [beam.ids for beam in alone] == [beam.ids for beam in beams]
        for beam in beams:
            assert beam.log_prob == pytest.approx(plain_likelihood(model, prompt, beam.ids))
        assert [beam.log_prob for beam in beams] == sorted(
            (b.log_prob for b in beams), reverse=True
        )


def test_two_beams_find_the_text_that_greedy_choice_walks_past() -> None:
    """From 0: 1 (.6) or 2 (.4); behind 1 all is open, behind 2 comes 3 nine times in ten."""
    chances = torch.tensor(
        [[0, 0.6, 0.4, 0], [0.25, 0.25, 0.25, 0.25], [0.1, 0, 0, 0.9], [1, 0, 0, 0]]
    ).double()

    def step(ids, cache, *, mask=None, positions=None, last=True):
        logits = chances[ids].log()  # what comes next depends on the latest token alone
        return logits[:, -1] if last else logits

    assert generate(step, [[0]], max_new_tokens=2) == [[1, 0]]
    ((best, second),) = beam_search(step, [[0]], max_new_tokens=2, n_beams=2)
    assert (best.ids, second.ids) == ([2, 3], [1, 0])
    assert math.exp(best.log_prob) == pytest.approx(0.36)
    assert math.exp(second.log_prob) == pytest.approx(0.15)
    (values,) = log_likelihood(step, [[0]], [[[2, 3], [1, 0], [3]]])
    assert values.exp().tolist() == pytest.approx([0.36, 0.15, 0.0])


@pytest.mark.parametrize(
    ("options", "message"),
    [({"n_beams": 0}, "n_beams"), ({"length_power": -1.0}, "length_power must be at least 0")],
)
def test_beams_out_of_range_are_refused(model: Tiny, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        beam_search(model, PROMPTS, max_new_tokens=3, **options)


# Likelihoods


@settings(max_examples=25, deadline=None)
@given(
    data=st.lists(
        st.tuples(
            st.lists(st.integers(0, 10), min_size=1, max_size=5),
            st.lists(st.lists(st.integers(0, 10), min_size=1, max_size=4), max_size=4),
        ),
        min_size=1,
        max_size=4,
    ),
    batch_tokens=st.sampled_from([1, 12, 1000]),
)
def test_likelihoods_equal_the_plain_computation(model: Tiny, data, batch_tokens: int) -> None:
    prompts, continuations = [list(p) for p, _ in data], [c for _, c in data]
    result = log_likelihood(model, prompts, continuations, batch_tokens=batch_tokens)
    for prompt, continuation_ids, values in zip(prompts, continuations, result, strict=True):
        wanted = [plain_likelihood(model, prompt, ids) for ids in continuation_ids]
        assert values.tolist() == pytest.approx(wanted, abs=1e-9)


def test_a_prompt_is_read_once_for_all_its_continuations(model: Tiny) -> None:
    model.seen.clear()
    log_likelihood(model, [[1] * 50], [[[2, 3], [4, 5], [6, 7]]])
    assert model.seen == [50, 3]  # the prompt, then the first token of each continuation


def test_the_continuations_of_a_prompt_add_up_to_one(model: Tiny) -> None:
    pairs = [[i, j] for i in range(11) for j in range(11)]
    (values,) = log_likelihood(model, [[3, 1]], [pairs])
    assert float(values.exp().sum()) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("continuations", "message"),
    [
        ([[[1]]], "there are 2 prompts and 1 lists"),
        ([[[1], []], []], "continuation 1 of prompt 0 must be a list of at least one"),
        ([[1, 2], []], "continuation 0 of prompt 0 must be a list"),
    ],
)
def test_continuations_that_are_none_are_reported(model: Tiny, continuations, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        log_likelihood(model, [[1], [2]], continuations)


def test_chunks_of_logits_do_not_show(model: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    continuations = [[[1, 2, 3, 4, 5], [6, 7]], [[8, 9, 10]]]
    whole = log_likelihood(model, [[1], [2, 3]], continuations)
    monkeypatch.setattr("m6rec_lite.nn.likelihood.LOGITS_IN_MEMORY", 1)
    for one, other in zip(whole, log_likelihood(model, [[1], [2, 3]], continuations), strict=True):
        torch.testing.assert_close(one, other)


def test_the_cache_can_be_asked_for_its_rows() -> None:
    cache = KeyValueCache()
    keys = torch.arange(3.0)[:, None, None, None].expand(3, 1, 2, 1)
    cache.update(keys, keys, 0)
    cache.select(torch.tensor([2, 0, 0, 1]))
    held, _ = cache.update(torch.zeros(4, 1, 1, 1), torch.zeros(4, 1, 1, 1), 0)
    assert held[:, 0, 0, 0].tolist() == [2, 0, 0, 1]
