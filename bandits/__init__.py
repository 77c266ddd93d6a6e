"""Bandits: models, algorithms and their simulators."""
