"""Benchmarks: each claim is a ratio, measured in one run against an alternative that is named.

Run them all with `make bench`, or one with `python -m bench pacing`. They need no root, and touch nothing but namespaces of their own.
"""
