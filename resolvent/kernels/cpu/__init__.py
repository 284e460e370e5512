"""Kernels compiled by Numba. The only place that imports it."""
