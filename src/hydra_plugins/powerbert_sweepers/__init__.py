"""Hydra's sweepers of this project: Hydra looks for plugins in the namespace package `hydra_plugins` only.

It imports every module below at each start of any Hydra program, so nothing heavy may be imported at the
top of one: torch and powerbert wait until a sweep begins.
"""
