from .attribution import attention_rollout, gradient_times_input, integrated_gradients
from .causes import event_ranks, main_cause, world_deletion
from .event_scores import attribute, deletion, first_items, without_events
from .fair_training import FairSASRec
from .fairness import exposure, group_gaps, miscalibration
from .rerank import calibrated_lists, fixed_lists, mmr
from .uplift import Exposures, average_effect, logged_slates, random_slates

__all__ = [
    "Exposures",
    "FairSASRec",
    "attention_rollout",
    "attribute",
    "average_effect",
    "calibrated_lists",
    "deletion",
    "event_ranks",
    "exposure",
    "first_items",
    "fixed_lists",
    "gradient_times_input",
    "group_gaps",
    "integrated_gradients",
    "logged_slates",
    "main_cause",
    "miscalibration",
    "mmr",
    "random_slates",
    "without_events",
    "world_deletion",
]
