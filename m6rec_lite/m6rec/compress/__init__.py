"""Faster and smaller: late interaction, early exit, sharing, distillation, pruning, few bits."""
