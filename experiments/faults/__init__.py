"""Trials of ``experiments.hardening``: functions that yield the outcome of each try."""
