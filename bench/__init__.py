"""Benchmarks: each figure is a ratio against a limit measured in the same run, since machines differ and drift."""
