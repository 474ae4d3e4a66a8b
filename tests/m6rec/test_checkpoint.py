"""The pretrained M6-Rec that the chapters load is what its card says."""

from __future__ import annotations

import json

import numpy as np
import pytest

from experiments.records import Records
from m6rec_lite.course.paths import project_root
from m6rec_lite.data import leave_one_out, load_dataset
from m6rec_lite.language.text.behaviour import BehaviourText
from m6rec_lite.language.text.corpora import Corpus
from m6rec_lite.language.text.tokenizer import Tokenizer
from m6rec_lite.m6rec import TASKS, MultiTaskModel, TaskData
from m6rec_lite.m6rec.batches import PretrainingBatches
from m6rec_lite.m6rec.documents import pretraining_corpora
from m6rec_lite.m6rec.model import M6RecModel
from m6rec_lite.m6rec.next_events import mean_events_read
from m6rec_lite.m6rec.objective import judge
from m6rec_lite.m6rec.prompts import PromptBuilder
from m6rec_lite.m6rec.settings import Pretraining
from m6rec_lite.m6rec.tasks import Ranking
from m6rec_lite.m6rec.token_file import TokenFile

FOLDER = project_root() / "checkpoints" / "bazaar-m6rec"
LARGE = project_root() / "checkpoints" / "bazaar-large-m6rec"


def test_a_kept_model_is_as_good_as_its_card_says(tmp_path) -> None:
    about = json.loads((FOLDER / "pretraining.json").read_text(encoding="utf-8"))
    settings = Pretraining(**about["settings"])
    dataset = load_dataset(settings.data)
    split = leave_one_out(dataset)
    assert about["split"] == split.hash
    model, tokenizer = M6RecModel.from_pretrained(FOLDER), Tokenizer.load(FOLDER)
    model.config.check_tokenizer(tokenizer)
    corpora = pretraining_corpora(dataset, split, seed=settings.seed)
    whole = sum(corpora.values(), start=Corpus([], []))
    file = TokenFile.once(tmp_path / "held-out", whole.held_out, tokenizer, of={}, progress=False)
    assert len(file.tokens) == about["tokens"]["held-out"]
    shape = {"batch_size": settings.lines, "seq_len": model.config.max_position_embeddings}
    batches = PretrainingBatches(file, settings.objectives(tokenizer), tokenizer, **shape)
    result = judge(model, batches, limit=64)
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    for figure in ("infilling nats", "infilling bits", "sentence nats", "sentence bits"):
        assert result[figure] == pytest.approx(about["held out"][figure], rel=1e-3), figure
        assert f"{about['held out'][figure]:.4f}" in card
    for objective in ("infilling", "sentence"):
        reported = about["held out"]
        assert reported[f"{objective} bits"] < 0.7 * reported[f"{objective} bits, trigram"]
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 4_000_000


def test_the_card_of_the_larger_model_has_the_figures_of_its_run() -> None:
    about = json.loads((LARGE / "pretraining.json").read_text(encoding="utf-8"))
    card = (LARGE / "README.md").read_text(encoding="utf-8")
    settings = Pretraining(**about["settings"])
    assert (settings.data, settings.library, settings.templates) == (
        "bazaar-large",
        "stated",
        "compact",
    )
    assert "The library of the world is among the texts" in card
    for objective in ("infilling", "sentence", "next event"):
        for unit in ("nats", "bits"):
            assert f"{about['held out'][f'{objective} {unit}']:.4f}" in card
    model, tokenizer = M6RecModel.from_pretrained(LARGE), Tokenizer.load(LARGE)
    model.config.check_tokenizer(tokenizer)
    assert model.num_parameters() == about["parameters"]
    assert sum(path.stat().st_size for path in LARGE.iterdir()) < 25_000_000


def test_one_checkpoint_does_seven_tasks_with_the_figures_of_its_run() -> None:
    folder = project_root() / "checkpoints" / "bazaar-joint-m6rec"
    records = Records(project_root() / "results").finished("one_model")
    (report,) = (
        report
        for _, config, report in records
        if config["model"] == "one model, joint" and "bazaar-large" in config["variant"]
    )
    card = (folder / "README.md").read_text(encoding="utf-8")
    both, tokenizer = MultiTaskModel.load(folder, TASKS)
    assert list(both.tasks) == list(report["tasks"])
    dataset = load_dataset("bazaar")
    data = TaskData.of(dataset, leave_one_out(dataset))
    prompts = PromptBuilder(BehaviourText(dataset, "compact"), tokenizer, 192)
    for name, figures in report["tasks"].items():
        assert f"| {figures['value']:.3f}" in card, name
        task = both.task(name)
        rows = task.build_examples(data, prompts, "test", limit=60 if name == "scoring" else 1)
        answers = task.predict(both.model, rows)
        if name == "scoring":
            assert answers[rows.target == 1].mean() > answers[rows.target == 0].mean()
        elif name in ("retrieval", "ranking"):
            assert answers.size == len(data.split.item_ids)
            assert len(np.unique(answers)) > 800
        else:
            assert task.texts(answers)[0]
    assert sum(path.stat().st_size for path in folder.iterdir()) < 6_000_000


def test_the_larger_model_ranks_by_the_person() -> None:
    dataset = load_dataset("bazaar")
    split = leave_one_out(dataset)
    model, tokenizer = M6RecModel.from_pretrained(LARGE).eval(), Tokenizer.load(LARGE)
    prompts = PromptBuilder(BehaviourText(dataset, "compact"), tokenizer, 512)
    rng = np.random.default_rng(0)
    rows = rng.permutation(len(split.test.histories))[:40]
    histories = split.test.histories[rows]
    targets = split.test.targets[split.test.target_offsets[:-1][rows]]
    lists = np.array([[target, *rng.choice(len(split.item_ids), 7)] for target in targets])

    def below(histories):
        """The mean share of the other items that score below the target."""
        examples = Ranking().encode(histories, split.item_ids[lists], prompts)
        assert mean_events_read(examples.known[:: lists.shape[1]], tokenizer) > 8
        scores = Ranking(scoring="mean").predict(model, examples).reshape(lists.shape)
        return (scores[:, 1:] < scores[:, :1]).mean()

    own, others = below(histories), below(histories[np.roll(np.arange(len(rows)), 1)])
    assert own > 0.65
    assert own > others + 0.05
