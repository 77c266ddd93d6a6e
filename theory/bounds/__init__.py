"""Bounds as functions of the quantities that they depend on, one module for each algorithm or paper."""
