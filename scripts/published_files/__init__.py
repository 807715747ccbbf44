"""Dry runs of published checkpoints: every weight of their files against what our models load, without the files.

A checkpoint is names, shapes and types here, and no numbers. The real loaders run on PyTorch's `meta` device.
"""
