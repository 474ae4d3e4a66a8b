"""Building blocks written to be read: optimizers, recurrence, attention, losses."""

from m6rec_lite.nn.attention import (
    MultiHeadAttention,
    causal_mask,
    fused_attention,
    padding_mask,
    prefix_mask,
)
from m6rec_lite.nn.descent import Descent, descend
from m6rec_lite.nn.dropout import Dropout
from m6rec_lite.nn.gradients import GradientCheck, check_gradient
from m6rec_lite.nn.losses import linear_cross_entropy
from m6rec_lite.nn.optim import (
    SGD,
    AdaGrad,
    Adam,
    AdamW,
    DivergenceError,
    Momentum,
    Nesterov,
    Optimizer,
    RMSProp,
)
from m6rec_lite.nn.packing import Packing
from m6rec_lite.nn.positions import (
    LearnedPositions,
    RelativeTime,
    rotary_angles,
    rotate,
    sinusoids,
)
from m6rec_lite.nn.rnn import GRUCell, LSTMCell, Recurrent, RNNCell
from m6rec_lite.nn.schedules import Plateau, cosine, step_decay, warm_up
from m6rec_lite.nn.transformer import Block, Transformer, TransformerConfig

__all__ = [
    "SGD",
    "AdaGrad",
    "Adam",
    "AdamW",
    "Block",
    "Descent",
    "DivergenceError",
    "Dropout",
    "GRUCell",
    "GradientCheck",
    "LSTMCell",
    "LearnedPositions",
    "Momentum",
    "MultiHeadAttention",
    "Nesterov",
    "Optimizer",
    "Packing",
    "Plateau",
    "RMSProp",
    "RNNCell",
    "Recurrent",
    "RelativeTime",
    "Transformer",
    "TransformerConfig",
    "causal_mask",
    "check_gradient",
    "cosine",
    "descend",
    "fused_attention",
    "linear_cross_entropy",
    "padding_mask",
    "prefix_mask",
    "rotary_angles",
    "rotate",
    "sinusoids",
    "step_decay",
    "warm_up",
]
