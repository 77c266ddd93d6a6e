"""What one agent after the other loses against the joint tilt falls like the third power of the temperature (claims read-awr/sequential-gap,
read-awr/sequential-gap-bound, read-awr/returns-not-ordered).

Left: the loss of the sequential policy in the regularised objective, in random cooperative games of two and of three agents (median and
the range of the middle 80 %), and in the game that attains the bound; dashed, that game's bound. Right: what the sequential policy earns
more than the joint one in games with the payoffs (c, c) and (1 - c, -1 - c), times β²; the sign changes at the dots, where
2c = tanh(1/β), and c/4 is the limit.
"""

import _style
import matplotlib.pyplot as plt
import numpy as np

from games.advantage_decomposition import joint_awr, sequential_awr
from games.markov import evaluate_joint, joint_policy, markov_game
from theory.divergences import kl

BETAS = np.geomspace(0.05, 50.0, _style.sized(31, 13))
GAMES = _style.sized(100, 10)


def loss(A: np.ndarray, mu: np.ndarray, beta: float) -> float:
    """beta KL(pi_S || pi_J) in the first state."""
    sequential, joint = (build(A[:1], mu[:1], beta).reshape(-1) for build in (sequential_awr, joint_awr))
    return float(beta * kl(sequential, joint))


def random_losses(agents: int) -> np.ndarray:
    """The loss in each game at each temperature, shape (GAMES, BETAS)."""
    rows = []
    for seed in range(GAMES):
        game = markov_game(S=4, actions=(3,) * agents, seed=seed)
        rng = np.random.default_rng([seed, 1])
        mu = joint_policy(game, [rng.dirichlet(np.ones(k), game.states) for k in game.actions])
        A = evaluate_joint(game, mu).advantage
        rows.append([loss(A, mu, beta) for beta in BETAS])
    return np.array(rows)


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.6, 4.2))
    for colour, dashes, agents in zip(_style.COLOURS, ("-", "-."), (2, 3)):
        losses = random_losses(agents)
        low, middle, high = np.quantile(losses, (0.1, 0.5, 0.9), axis=0)
        left.plot(BETAS, middle, color=colour, ls=dashes, label=f"random games, {agents} agents")
        left.fill_between(BETAS, low, high, color=colour, alpha=0.2, lw=0)
    even = np.full((1, 2, 2), 0.25)
    spread = np.array([[[0.0, 0.0], [1.0, -1.0]]])
    left.plot(BETAS, [loss(spread, even, beta) for beta in BETAS], color=_style.COLOURS[2], label="payoffs (0, 0) and (1, -1)")
    left.plot(
        BETAS, 2.0**4 / (512 * BETAS**3), color=_style.COLOURS[6], ls="--", lw=1.2, label="its bound $R^4/(512 β^3)$, R = 2"
    )
    left.set(xscale="log", yscale="log", ylim=(1e-12, 3.0), xlabel="temperature β", ylabel="loss in the regularised objective")
    left.legend(loc="lower left", fontsize=9)

    grid = np.geomspace(0.1, 20.0, _style.sized(121, 21))
    right.axhline(0.0, color=_style.COLOURS[6], lw=1.0)
    for colour, dashes, c in zip(_style.COLOURS, ("-", "--", "-.", ":"), (0.1, 0.3, 0.45, 0.6)):
        payoff = np.array([[[c, c], [1 - c, -1 - c]]])
        gain = [b**2 * float(((sequential_awr(payoff, even, b) - joint_awr(payoff, even, b)) * payoff).sum()) for b in grid]
        right.plot(grid, gain, color=colour, ls=dashes, label=f"c = {c:g}")
        if c < 0.5:
            right.plot(1 / np.arctanh(2 * c), 0.0, "o", color=colour, ms=6)
    right.set(xscale="log", xlabel="temperature β", ylabel="β² (return of sequential less joint)")
    right.legend(loc="upper left", fontsize=9)
    for path in _style.save(figure, "advantage_decomposition"):
        print(path)


if __name__ == "__main__":
    main()
