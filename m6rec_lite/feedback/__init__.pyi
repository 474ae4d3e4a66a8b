from .bandits import (
    UCB,
    Answers,
    EpsilonGreedy,
    LinUCB,
    Policy,
    ThompsonSampling,
)
from .environment import SlateEnvironment, gymnasium_environment
from .loop import LoopLog, RetrainedRanker, run_loop
from .policy import CandidateScores, PolicyGradient, reward_to_go, slate_log_probs
from .requests import Requests, live_requests
from .satisfaction import SATISFACTIONS, Feedback, SatisfactionRanker

__all__ = [
    "SATISFACTIONS",
    "UCB",
    "Answers",
    "CandidateScores",
    "EpsilonGreedy",
    "Feedback",
    "LinUCB",
    "LoopLog",
    "Policy",
    "PolicyGradient",
    "Requests",
    "RetrainedRanker",
    "SatisfactionRanker",
    "SlateEnvironment",
    "ThompsonSampling",
    "gymnasium_environment",
    "live_requests",
    "reward_to_go",
    "run_loop",
    "slate_log_probs",
]
