from .checks import CHECKS, CRITERIA
from .experiment import Experiment
from .lists import read_lists
from .report import Audit, Finding, audit

__all__ = [
    "CHECKS",
    "CRITERIA",
    "Audit",
    "Experiment",
    "Finding",
    "audit",
    "read_lists",
]
