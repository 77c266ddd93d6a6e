"""Inverse soft Q-learning with a chi-square regulariser misses the expert even with exact expectations (claims mamql/chi2-bias,
mamql/chi2-first-order, mamql/wrong-marginal).

Left: the largest error of a probability, and the reward's distance from all shapings of the true one, against the regulariser's weight, at
logit equilibria of random two-player games (median and the range of the middle 80 %). Right: the error of a reward that is recovered
with the transitions of uniform opponents in place of the experts', against the experts' inverse temperature.
"""

import _style
import matplotlib.pyplot as plt
import numpy as np

from games.inverse_q import inverse_q_optimum, inverse_soft_bellman
from games.logit_equilibrium import logit_equilibrium
from games.markov import MarkovGame, marginal_mdp, markov_game
from mdplab.models import TabularMDP

ALPHAS = np.geomspace(1e-3, 10.0, _style.sized(17, 5))
RATES = np.array(_style.sized((0.25, 0.5, 1.0, 2.0, 4.0, 8.0), (0.5, 2.0)))
GAMES = _style.sized(60, 4)


def game(seed: int) -> MarkovGame:
    """Two players of three actions, five states, rewards of standard deviation 0.3."""
    return markov_game(S=5, actions=(3, 3), payoff="own", rewards="normal", scale=0.3, seed=seed)


def up_to_shaping(mdp: TabularMDP, reward: np.ndarray) -> float:
    """The largest entry of what is left of ``reward`` less the model's when the best potential (in least squares) is taken off."""
    effect = np.eye(mdp.states)[mdp.pair_state] - mdp.gamma * mdp.transition_matrix().toarray()
    difference = reward - mdp.reward
    potential = np.linalg.lstsq(effect, difference, rcond=None)[0]
    return float(np.abs(difference - effect @ potential).max())


def biases() -> tuple[np.ndarray, np.ndarray]:
    """Errors of the policy and of the reward, each of shape (GAMES, ALPHAS)."""
    policy, reward = np.empty((GAMES, ALPHAS.size)), np.empty((GAMES, ALPHAS.size))
    for k in range(GAMES):
        found = logit_equilibrium(game(k), 1.0, damping=0.8)
        mdp, expert = marginal_mdp(game(k), 0, found.profile), found.responses[0].policy
        for j, alpha in enumerate(ALPHAS):
            optimum = inverse_q_optimum(mdp, expert, 1.0, alpha)
            policy[k, j] = np.abs(np.exp(optimum.log_policy) - expert).max()
            reward[k, j] = up_to_shaping(mdp, optimum.reward)
    return policy, reward


def wrong_opponents() -> np.ndarray:
    """The largest error of the recovered reward, shape (GAMES, RATES)."""
    errors = np.empty((GAMES, RATES.size))
    for k in range(GAMES):
        for j, rate in enumerate(RATES):
            found = logit_equilibrium(game(k), rate, damping=0.8 if rate <= 1 else 0.2)
            right = marginal_mdp(game(k), 0, found.profile)
            wrong = marginal_mdp(game(k), 0, [np.full((5, 3), 1 / 3)] * 2)
            errors[k, j] = np.abs(inverse_soft_bellman(wrong, found.responses[0].q, rate) - right.reward).max()
    return errors


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.6, 4.2))
    policy, reward = biases()
    supposed = wrong_opponents()
    curves = (
        (left, ALPHAS, policy, "-", "probability"),
        (left, ALPHAS, reward, "-.", "reward, up to shaping"),
        (right, RATES, supposed, "-", "reward, uniform opponents supposed"),
    )
    for colour, (axes, x, errors, dashes, label) in zip(_style.COLOURS, curves):
        low, middle, high = np.quantile(errors, (0.1, 0.5, 0.9), axis=0)
        axes.plot(x, middle, color=colour, ls=dashes, label=label)
        axes.fill_between(x, low, high, color=colour, alpha=0.2, lw=0)
    level = float(np.median(policy[:, 0]))
    left.plot(ALPHAS, level * ALPHAS / ALPHAS[0], color=_style.COLOURS[6], ls="--", lw=1.2, label="proportional to α")
    left.set(xscale="log", yscale="log", xlabel="weight α of the regulariser", ylabel="largest error", ylim=(5e-5, 2.0))
    first = float(np.median(supposed[:, 0]))
    right.plot(RATES, first * RATES / RATES[0], color=_style.COLOURS[6], ls="--", lw=1.2, label="proportional to λ")
    right.set(xscale="log", yscale="log", xlabel="the experts' inverse temperature λ", ylabel="largest error")
    right.set_xticks(RATES, [f"{rate:g}" for rate in RATES])
    right.set_xticks([], minor=True)
    for axes in (left, right):
        axes.legend(loc="upper left", fontsize=9)
    for path in _style.save(figure, "inverse_q_bias"):
        print(path)


if __name__ == "__main__":
    main()
