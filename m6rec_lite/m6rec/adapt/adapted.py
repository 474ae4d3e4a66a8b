"""An adapted model: train, count, merge, take out, save and load the weights of a method."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn

from m6rec_lite.data.files import sealed_files, write_text
from m6rec_lite.language.models.model_folder import ModelError, check_sums, read_json
from m6rec_lite.m6rec.adapt import METHODS
from m6rec_lite.m6rec.adapt.lora import LowRank
from m6rec_lite.m6rec.adapt.method import Change, Combined, Method
from m6rec_lite.m6rec.model import M6RecModel
from m6rec_lite.m6rec.tasks import TASKS
from m6rec_lite.m6rec.tasks.multi_label import MultiLabelScoring
from m6rec_lite.m6rec.tasks.task import Task, TaskBatch
from m6rec_lite.training.batches import fingerprint as hash_of

_TASKS: dict[str, type[Task]] = {**TASKS, MultiLabelScoring.name: MultiLabelScoring}
_WEIGHTS, _ABOUT = "adapter.safetensors", "adapter.json"


def fingerprint(model: M6RecModel) -> str:
    """Return twelve hex digits of a hash of a model's weights."""
    return hash_of([*model.parameters()])


class Adapted(nn.Module):
    """A pretrained model with a method attached, and the task that it is adapted to.

    Train it with ``training.fit(adapted, batches, Adapted.loss, …)``, with the optimizer over
    ``parameter_groups(adapted.model, adapted.task, …)``.

    Args:
        model: changed in place. Its weights are frozen, those apart that the method trains.
        method: with its settings.
        task: whose own weights, such as a head, are trained and saved too; None for none.
        seed: of the method's initial weights.

    Attributes:
        base: fingerprint of the pretrained model.
        n_base: number of its parameters.

    Raises:
        ValueError: if the model has a method attached, or a setting does not fit it.
    """

    def __init__(
        self, model: M6RecModel, method: Method, task: Task | None = None, *, seed: int = 0
    ) -> None:
        super().__init__()
        _check_free(model)
        self.model, self.method, self.task = model, method, task
        self.base, self.n_base = fingerprint(model), sum(p.numel() for p in model.parameters())
        own = dict(model.named_parameters())
        self._own = {name: own[name] for name in method.trained_names(model)}
        self._values = {name: weight.detach().clone() for name, weight in self._own.items()}
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.changes = method.changes(model, task)
        self._mark = Change(model, "adapted_by", method.name)
        self._is_attached = False
        model.requires_grad_(False)
        self._swap()

    def attach(self) -> Self:
        """Put the method's weights into the model again, after ``detach``.

        Raises:
            ValueError: if another method is attached.
        """
        if not self._is_attached:
            _check_free(self.model)
            self._swap()
        return self

    def detach(self) -> Self:
        """Take the method's weights out: the model is the pretrained one again, bit for bit."""
        if self._is_attached:
            self.unmerge()
            self._swap()
        return self

    def _swap(self) -> None:
        """Attach or detach: apply or undo the changes, and exchange the values of own weights."""
        attach = not self._is_attached
        for change in (self._mark, *self.changes):
            change.apply() if attach else change.undo()
        for name, weight in self._own.items():
            current = weight.detach().clone()
            weight.data.copy_(self._values[name])
            self._values[name] = current
            weight.requires_grad_(attach)
        self._is_attached = attach

    def trained(self) -> dict[str, nn.Parameter]:
        """Return the trained parameters of the model and the task, by name."""
        return {name: w for name, w in self.named_parameters() if w.requires_grad}

    def summary(self) -> dict[str, float]:
        """Return what the method costs.

        Returns:
            ``trained``, the number of parameters in the model that are trained; ``share`` of the
            pretrained model's; ``head``, the number of the task's own; ``bytes`` of both.
        """
        sizes, n_bytes = {"model": 0, "task": 0}, 0
        for name, weight in self.trained().items():
            sizes[name.partition(".")[0]] += weight.numel()
            n_bytes += weight.nbytes
        share = sizes["model"] / self.n_base
        return {"trained": sizes["model"], "share": share, "head": sizes["task"], "bytes": n_bytes}

    def loss(self, batch: TaskBatch) -> Tensor:
        """Return the loss of the task, plus the method's penalty."""
        if self.task is None:
            raise ValueError("there is no task whose loss to compute: Adapted(model, method, task)")
        loss, penalty = self.task.loss(self.model, batch), self.method.penalty(self.model)
        return loss if penalty is None else loss + penalty

    def merge(self) -> Self:
        """Add low-rank weights to those they stand beside; other methods are left as they are."""
        for module in self._low_rank():
            module.merge()
        return self

    def unmerge(self) -> Self:
        """Undo ``merge``, bit for bit."""
        for module in self._low_rank():
            module.unmerge()
        return self

    def _low_rank(self) -> list[LowRank]:
        return [change.new for change in self.changes if isinstance(change.new, LowRank)]

    def merged_model(self) -> M6RecModel:
        """Return a copy as a plain ``M6RecModel``, which needs no code of this package to run.

        Raises:
            ValueError: if the method adds more than low-rank weights: that cannot be merged.
        """
        if len(self._low_rank()) < len(self.changes):
            raise ValueError(
                f"{self.method.name!r} changes what the model computes, and not only the values of "
                "its weights, so it cannot be merged into them: save and load the adapted model"
            )
        copied = copy.deepcopy(self.attach())
        copied.merge()
        for change in (copied._mark, *copied.changes):
            change.undo()
        return copied.model.requires_grad_(True)

    def save(self, folder: str | Path) -> Path:
        """Write the trained weights, and the state of the task, into a folder; ``load`` reads it.

        Raises:
            ValueError: if the method is not attached.
        """
        if not self._is_attached:
            raise ValueError("the method is detached from the model: call attach() before save()")
        weights = {name: weight.detach() for name, weight in self.trained().items()}
        if self.task is not None:
            weights |= {f"task.{key}": value for key, value in self.task.state_dict().items()}
        content = save({key: value.contiguous() for key, value in weights.items()})
        task = None if self.task is None else [self.task.name, self.task.settings()]
        about: dict[str, Any] = {"method": [self.method.name, self.method.settings()], "task": task}
        about |= {"base": self.base, "base_parameters": self.n_base}
        with sealed_files(folder) as fresh:
            (fresh / _WEIGHTS).write_bytes(content)
            write_text(fresh / _ABOUT, json.dumps(about, indent=1) + "\n")
        return Path(folder)

    @classmethod
    def load(cls, folder: str | Path, model: M6RecModel, task: Task | None = None) -> Self:
        """Load what ``save`` wrote, and attach it to the model that it was trained on.

        Args:
            folder: of the weights.
            model: the pretrained model, with no method attached.
            task: to load the head into; by default a new task with the saved settings.

        Raises:
            ModelError: if the folder is damaged, the model is another one, or the task's head has
                another number of classes.
        """
        folder = Path(folder)
        check_sums(folder, (_WEIGHTS, _ABOUT))
        about = read_json(folder / _ABOUT, "save the adapted model again")
        _check_free(model)
        if (found := fingerprint(model)) != about["base"]:
            raise ModelError(
                f"{folder} was trained on the model {about['base']} ({about['base_parameters']:,} "
                f"parameters), and was given {found}: its weights mean nothing to another model; "
                "load the model that it was trained on"
            )
        if task is None and about["task"] is not None:
            kind, settings = about["task"]
            task = _TASKS[kind](**settings).to(model.embedding.weight.device)
            for parameter in task.parameters():  # not its buffers, which keep their precision
                parameter.data = parameter.data.to(model.embedding.weight.dtype)
        adapted = cls(model, _method(*about["method"]), task)
        try:
            adapted._read(load_file(folder / _WEIGHTS))
        except ModelError:
            adapted.detach()
            raise
        return adapted.eval()

    @torch.no_grad()
    def _read(self, weights: Mapping[str, Tensor]) -> None:
        """Copy saved weights into the model and the task."""
        state = {} if self.task is None else self.task.state_dict(prefix="task.")
        places = {**state, **self.trained()}
        for name in sorted(places.keys() | weights.keys()):
            shapes = [tuple(x[name].shape) if name in x else None for x in (weights, places)]
            if shapes[0] != shapes[1]:
                raise ModelError(
                    f"{name} is {shapes[0]} in the file and {shapes[1]} in the model and its task: "
                    "give a task of the same classes and settings, or none"
                )
            places[name].copy_(weights[name])


class TaskSwitch:
    """Several adaptations of one model, which is in memory once; one is attached at a time."""

    def __init__(self, model: M6RecModel) -> None:
        self.model = model
        self.members: dict[str, Adapted] = {}

    def add(self, name: str, adapted: Adapted) -> None:
        """Add an adaptation of the model, and detach it.

        Raises:
            ValueError: if it is one of another model, or the name is taken.
        """
        if adapted.model is not self.model or name in self.members:
            raise ValueError(
                f"{name!r} must be a new name and an adaptation of this model: call use(None), "
                "then Adapted(switch.model, …) or Adapted.load(folder, switch.model)"
            )
        self.members[name] = adapted.detach()

    def use(self, name: str | None) -> Adapted | None:
        """Attach one adaptation and return it; None detaches all of them.

        Raises:
            KeyError: on an unknown name.
        """
        chosen = None if name is None else self.members[name]
        for adapted in self.members.values():
            adapted.detach()
        return None if chosen is None else chosen.attach()


def _check_free(model: M6RecModel) -> None:
    if (method := getattr(model, "adapted_by", None)) is not None:
        raise ValueError(
            f"the model has {method!r} attached: detach() that first, or combine several methods "
            "in Combined([…])"
        )


def _method(name: str, settings: dict[str, Any]) -> Method:
    """Return the method of a name, with the settings that were saved."""
    if name == Combined.name:
        return Combined([_method(*each) for each in settings["methods"]])
    return METHODS[name](**settings)
