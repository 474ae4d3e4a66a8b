from .attention import (
    AttentionContext,
    MultiHeadAttention,
    fused_attention,
    scaled_dot_product_attention,
)
from .beams import Beam, beam_search
from .cache import Cache, KeyValueCache
from .conflicts import gradient_cosines, pcgrad, set_gradient, task_gradients
from .descent import Descent, descend
from .dropout import Dropout
from .gradients import GradientCheck, check_gradient
from .likelihood import log_likelihood
from .losses import bce, bpr_max, gbce, linear_cross_entropy, sampled_softmax, top1_max
from .masks import causal_mask, padding_mask, prefix_mask
from .optim import (
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
from .packing import Packing
from .positions import LearnedPositions, RelativeTime, rotary_angles, rotate, sinusoids
from .rnn import GRUCell, LSTMCell, Recurrent, RNNCell
from .sampling import GREEDY, Sampler, generate, temperature, top_k, top_p
from .schedules import Plateau, cosine, step_decay, warm_up
from .transformer import Block, Transformer, TransformerConfig

__all__ = [
    "GREEDY",
    "SGD",
    "AdaGrad",
    "Adam",
    "AdamW",
    "AttentionContext",
    "Beam",
    "Block",
    "Cache",
    "Descent",
    "DivergenceError",
    "Dropout",
    "GRUCell",
    "GradientCheck",
    "KeyValueCache",
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
    "Sampler",
    "Transformer",
    "TransformerConfig",
    "bce",
    "beam_search",
    "bpr_max",
    "causal_mask",
    "check_gradient",
    "cosine",
    "descend",
    "fused_attention",
    "gbce",
    "generate",
    "gradient_cosines",
    "linear_cross_entropy",
    "log_likelihood",
    "padding_mask",
    "pcgrad",
    "prefix_mask",
    "rotary_angles",
    "rotate",
    "sampled_softmax",
    "scaled_dot_product_attention",
    "set_gradient",
    "sinusoids",
    "step_decay",
    "task_gradients",
    "temperature",
    "top1_max",
    "top_k",
    "top_p",
    "warm_up",
]
