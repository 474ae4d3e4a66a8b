"""Experiments behind the published results, and the pages generated from them.

    python -m experiments --list
    python -m experiments long_runs SASRec --dataset ml-1m --set epochs=80 patience=80

An experiment is a module of this package that defines ``add_arguments(parser)`` and
``run(options)``; the first line of its docstring describes it. Runs are recorded under
``results/runs`` (see ``experiments.records``). Nothing in ``m6rec_lite`` imports this package.
"""
