"""Right and wrong answers to ``eval_outputs``."""

from __future__ import annotations

import torch


def _switched(model, x):
    was = model.training
    model.eval()
    with torch.no_grad():
        outputs = model(x)
    model.train(was)
    return outputs


@torch.inference_mode()
def _decorated(model, x):
    was = model.training
    try:
        return model.eval()(x)
    finally:
        model.train(was)


def _detached(model, x):
    was = model.training
    outputs = model.eval()(x).detach()
    model.train(was)
    return outputs


def _no_grad_alone(model, x):
    with torch.no_grad():
        return model(x)


def _eval_alone(model, x):
    was = model.training
    outputs = model.eval()(x)
    model.train(was)
    return outputs


def _left(model, x):
    with torch.no_grad():
        return model.eval()(x)


def _always_train(model, x):
    outputs = _left(model, x)
    model.train()
    return outputs


def _frozen(model, x):
    return _eval_alone(model.requires_grad_(False), x)


def _no_dropout(model, x):
    model[1].p = 0.0
    with torch.no_grad():
        return model(x)


def _stepped(model, x):
    torch.optim.SGD(model.parameters(), lr=0.1).zero_grad()
    with torch.no_grad():
        model[0].weight += 1.0
    return _switched(model, x)


CORRECT = (_switched, _decorated, _detached)
WRONG = (
    (_no_grad_alone, "Dropout is still on"),
    (_eval_alone, "still holds the record"),
    (_left, "would train on without dropout"),
    (_always_train, "Store model.training first"),
    (_frozen, "cannot be trained any more"),
    (_no_dropout, "lost their dropout probability"),
    (_stepped, "must not take a step"),
    (lambda model, x: _switched(model, x).mean(), "Return the model's output itself"),
)
