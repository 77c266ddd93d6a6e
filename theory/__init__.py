"""The vocabulary of claims: statistics, divergences, and the engine that turns a theorem into a check."""
