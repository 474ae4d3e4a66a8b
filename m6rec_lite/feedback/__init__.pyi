from .ab_tests import Looks, assign, look, power_of, sample_size
from .bandits import UCB, Answers, EpsilonGreedy, LinUCB, Policy, ThompsonSampling
from .environment import SlateEnvironment, gymnasium_environment
from .interleaving import Interleaved, team_draft
from .loop import LoopLog, RetrainedRanker, run_loop
from .off_policy import Estimate, SlateLog, doubly_robust, ips, list_probabilities, self_normalised
from .online import STRATEGIES, run_stream, stream_ndcg
from .policy import CandidateScores, PolicyGradient, reward_to_go, slate_log_probs
from .requests import Requests, live_requests
from .rounds import gini, run_rounds
from .satisfaction import SATISFACTIONS, Feedback, SatisfactionRanker

__all__ = [
    "SATISFACTIONS",
    "STRATEGIES",
    "UCB",
    "Answers",
    "CandidateScores",
    "EpsilonGreedy",
    "Estimate",
    "Feedback",
    "Interleaved",
    "LinUCB",
    "Looks",
    "LoopLog",
    "Policy",
    "PolicyGradient",
    "Requests",
    "RetrainedRanker",
    "SatisfactionRanker",
    "SlateEnvironment",
    "SlateLog",
    "ThompsonSampling",
    "assign",
    "doubly_robust",
    "gini",
    "gymnasium_environment",
    "ips",
    "list_probabilities",
    "live_requests",
    "look",
    "power_of",
    "reward_to_go",
    "run_loop",
    "run_rounds",
    "run_stream",
    "sample_size",
    "self_normalised",
    "slate_log_probs",
    "stream_ndcg",
    "team_draft",
]
