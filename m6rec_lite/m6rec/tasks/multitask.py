"""The model and its tasks as one module: trained together, saved in one folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from m6rec_lite.data.files import sealed_files, write_text
from m6rec_lite.language.models.model_folder import (
    ModelError,
    check_folder,
    check_sums,
    read_json,
    save_model_files,
)
from m6rec_lite.language.text.tokenizer import Tokenizer
from m6rec_lite.m6rec.model import M6RecModel
from m6rec_lite.m6rec.tasks.task import Task

#: The name of the pretraining objectives among the tasks.
ADAPT = "adapt"
#: The heads' files in a folder, beside the model's own.
_HEADS, _TASKS = "tasks.safetensors", "tasks.json"


class MultiTaskModel(nn.Module):
    """A model and its tasks, trained and saved together.

    Args:
        model: shared by all tasks.
        tasks: by any names but ``adapt``.

    Raises:
        ValueError: if a task's head was made for a model of another size.
    """

    def __init__(self, model: M6RecModel, tasks: Mapping[str, Task]) -> None:
        super().__init__()
        if ADAPT in tasks:
            raise ValueError(f"no task can be called {ADAPT!r}: the pretraining objectives are")
        for name, task in tasks.items():
            size = getattr(task, "hidden_size", None)
            if size is not None and size != model.config.hidden_size:
                raise ValueError(
                    f"the task {name!r} was made for hidden_size {size} and the model has "
                    f"{model.config.hidden_size}: make a new task for this model, or load the "
                    "folder that holds both"
                )
        self.model, self.tasks = model, nn.ModuleDict(dict(tasks))

    def task(self, name: str) -> Task:
        """Return the task of a name."""
        task = self.tasks[name]
        assert isinstance(task, Task)
        return task

    def save(self, folder: str | Path, tokenizer: Tokenizer) -> Path:
        """Save model, tokenizer and heads into a folder; ``load`` reads it."""
        self.model.config.check_tokenizer(tokenizer)
        heads = {key: value.contiguous() for key, value in self.tasks.state_dict().items()}
        about = {name: self.task(name).settings() for name in self.tasks}
        with sealed_files(folder) as fresh:
            save_model_files(fresh, self.model, tokenizer)
            (fresh / _HEADS).write_bytes(save(heads))
            write_text(fresh / _TASKS, json.dumps(about, indent=1) + "\n")
        return Path(folder)

    @classmethod
    def load(
        cls, folder: str | Path, kinds: Mapping[str, type[Task]], *, size: int | None = None
    ) -> tuple[MultiTaskModel, Tokenizer]:
        """Load what ``save`` wrote.

        Args:
            folder: of the checkpoint.
            kinds: the class of each task in it, by its name there.
            size: the expected ``hidden_size``; None accepts any.

        Raises:
            ModelError: if the folder is damaged or of another kind, a class is missing, or the
                size is another.
        """
        folder = check_folder(Path(folder))
        if not (folder / _TASKS).is_file() or not (folder / _HEADS).is_file():
            raise ModelError(f"{folder} holds a model without tasks: no {_TASKS} with {_HEADS}")
        check_sums(folder, (_TASKS, _HEADS))
        about = read_json(folder / _TASKS, "save the folder again")
        if about.keys() != kinds.keys():
            raise ModelError(
                f"{folder} holds the tasks {sorted(about)}, and classes were given for "
                f"{sorted(kinds)}: give one for each task"
            )
        model = M6RecModel.from_pretrained(folder)
        if size is not None and model.config.hidden_size != size:
            raise ModelError(
                f"{folder} holds a model of hidden_size {model.config.hidden_size}, wanted {size}: "
                "a checkpoint of another size does not fit; name its folder, or train this size"
            )
        both = cls(model, {name: kinds[name](**about[name]) for name in about})
        try:
            both.tasks.load_state_dict(load_file(folder / _HEADS))
        except (RuntimeError, SafetensorError) as error:
            raise ModelError(
                f"{folder / _HEADS} does not fit {folder / _TASKS}: {error}; save the folder again"
            ) from error
        return both.eval(), Tokenizer.load(folder)
