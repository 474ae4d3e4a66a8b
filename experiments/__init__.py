"""Experiments: what was run for the record, and the pages written from it.

    python -m experiments --list
    python -m experiments long_runs SASRec --dataset ml-1m --set epochs=80 patience=80

An experiment is a module of this package that defines ``add_arguments(parser)`` and
``run(options)``; the first line of its docstring describes it. Nothing else registers it. Runs are
kept under ``results/runs`` (see ``experiments.records``). Nothing in ``m6rec_lite`` imports this
package.
"""
