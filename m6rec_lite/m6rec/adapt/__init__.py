"""Adapting a pretrained M6-Rec to a task: losses, freezing, and methods with few weights.

``Adapted(model, LoRA(rank=2), task)`` freezes the model and puts the method's weights into it; it
trains, counts, saves and loads these weights alone.
"""

from m6rec_lite.m6rec.adapt.adalora import AdaLoRA
from m6rec_lite.m6rec.adapt.adapters import Adapters, OptionAdapter
from m6rec_lite.m6rec.adapt.freezing import FineTuning
from m6rec_lite.m6rec.adapt.lora import LoRA
from m6rec_lite.m6rec.adapt.method import Combined, Method
from m6rec_lite.m6rec.adapt.prefix import PrefixTuning
from m6rec_lite.m6rec.adapt.prompt import OptionTuning, PromptTuning

_KINDS: tuple[type[Method], ...] = (FineTuning, Adapters, LoRA, AdaLoRA, PrefixTuning)
_KINDS += (PromptTuning, OptionTuning, OptionAdapter, Combined)
#: Every method by its name.
METHODS = {kind.name: kind for kind in _KINDS}
