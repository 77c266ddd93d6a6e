"""KL-regularised contextual bandits with preference feedback."""
