from .accounting import epsilon_spent, noise_for_epsilon
from .adversarial import contrastive_loss, worst_perturbation
from .anonymity import anonymity_sets, hash_id, reverse_hashes
from .attribution import attention_rollout, gradient_times_input, integrated_gradients
from .bag_training import PrivateBagRecommender, RobustBagRecommender, under_attack
from .causes import event_ranks, main_cause, world_deletion
from .dp_sgd import clipped_sum, private_gradient
from .event_scores import attribute, deletion, first_items, without_events
from .fair_training import FairSASRec
from .fairness import exposure, group_gaps, miscalibration
from .federated import federated_round, mask_updates, sum_of_masked
from .homomorphic import PaillierKey, decrypt, encrypt, encrypted_dot
from .mechanisms import (
    epsilon_lower_bound,
    gaussian_delta,
    gaussian_mechanism,
    gaussian_sigma,
    laplace_mechanism,
)
from .membership import (
    MembershipAttack,
    advantage_bound,
    membership_attack,
    next_item_losses,
)
from .perturbations import (
    Perturbed,
    add_typos,
    change_texts,
    closest_overlap,
    incoherence,
    inject_profiles,
    replace_events,
    replace_words,
    shuffle_events,
)
from .rerank import calibrated_lists, fixed_lists, mmr
from .uplift import Exposures, average_effect, logged_slates, random_slates

__all__ = [
    "Exposures",
    "FairSASRec",
    "MembershipAttack",
    "PaillierKey",
    "Perturbed",
    "PrivateBagRecommender",
    "RobustBagRecommender",
    "add_typos",
    "advantage_bound",
    "anonymity_sets",
    "attention_rollout",
    "attribute",
    "average_effect",
    "calibrated_lists",
    "change_texts",
    "clipped_sum",
    "closest_overlap",
    "contrastive_loss",
    "decrypt",
    "deletion",
    "encrypt",
    "encrypted_dot",
    "epsilon_lower_bound",
    "epsilon_spent",
    "event_ranks",
    "exposure",
    "federated_round",
    "first_items",
    "fixed_lists",
    "gaussian_delta",
    "gaussian_mechanism",
    "gaussian_sigma",
    "gradient_times_input",
    "group_gaps",
    "hash_id",
    "incoherence",
    "inject_profiles",
    "integrated_gradients",
    "laplace_mechanism",
    "logged_slates",
    "main_cause",
    "mask_updates",
    "membership_attack",
    "miscalibration",
    "mmr",
    "next_item_losses",
    "noise_for_epsilon",
    "private_gradient",
    "random_slates",
    "replace_events",
    "replace_words",
    "reverse_hashes",
    "shuffle_events",
    "sum_of_masked",
    "under_attack",
    "without_events",
    "world_deletion",
    "worst_perturbation",
]
