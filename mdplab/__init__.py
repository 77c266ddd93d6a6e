"""mdplab: verifying the theory of reinforcement learning by computation."""
