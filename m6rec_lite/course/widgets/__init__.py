"""Experiments that work in the output of a cell without a kernel: data, HTML and script."""
