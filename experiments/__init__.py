"""Sampled studies: a grid of instances and many seeds in, one tidy table out."""
