from .accounting import epsilon_spent, noise_for_epsilon
from .adversarial import contrastive_loss, worst_perturbation
from .anonymity import anonymity_sets, hash_id, reverse_hashes
from .bag_recommender import BagRecommender
from .dp_sgd import clipped_sum, private_gradient
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

__all__ = [
    "BagRecommender",
    "MembershipAttack",
    "PaillierKey",
    "Perturbed",
    "add_typos",
    "advantage_bound",
    "anonymity_sets",
    "change_texts",
    "clipped_sum",
    "closest_overlap",
    "contrastive_loss",
    "decrypt",
    "encrypt",
    "encrypted_dot",
    "epsilon_lower_bound",
    "epsilon_spent",
    "federated_round",
    "gaussian_delta",
    "gaussian_mechanism",
    "gaussian_sigma",
    "hash_id",
    "incoherence",
    "inject_profiles",
    "laplace_mechanism",
    "mask_updates",
    "membership_attack",
    "next_item_losses",
    "noise_for_epsilon",
    "private_gradient",
    "replace_events",
    "replace_words",
    "reverse_hashes",
    "shuffle_events",
    "sum_of_masked",
    "worst_perturbation",
]
