r"""Adversarial policies with partial control: an attacker who moves the other player only now and then.

A victim (player 0 of a zero-sum Markov game, who maximises r) plays a stationary policy x. The other player normally plays
:math:`\alpha_0(b \mid s)`. An attacker with *control* :math:`\epsilon \in [0, 1]` decides that player's move with probability
:math:`\epsilon`, independently in each step, by a policy y; so what is deployed is the mixture of each state

.. math:: \alpha_y = (1 - \epsilon)\, \alpha_0 + \epsilon\, y .

With :math:`\epsilon = 0` nobody attacks, and with :math:`\epsilon = 1` this is the game itself. Between them it is another
zero-sum Markov game, the *modified game*, in which the attacker is the column player and an action b has the rewards and transitions

.. math:: r'(s, a, b) = (1 - \epsilon) \sum_{b'} \alpha_0(b' \mid s)\, r(s, a, b') + \epsilon\, r(s, a, b), \qquad
          P'(\cdot \mid s, a, b) = (1 - \epsilon) \sum_{b'} \alpha_0(b' \mid s)\, P(\cdot \mid s, a, b') + \epsilon\, P(\cdot \mid s, a, b) .

So the best attack on a given victim is the optimum of a Markov decision process, and the most robust victim is Shapley's maximin
policy (:mod:`games.shapley`) of the modified game. Liu, Chakraborty, Sun and Huang (2024), arXiv 2305.17342.

What is out of its stated range raises :class:`~theory.errors.InputError`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from games.markov import (
    JointEvaluation,
    MarkovGame,
    as_profile,
    evaluate_joint,
    joint_mdp,
    joint_policy,
    marginal_mdp,
    markov_game,
)
from games.shapley import ShapleySolution, hoffman_karp, require_zero_sum
from mdplab.models.random_mdps import dirichlet_rows
from mdplab.solvers.occupancy import Occupancy, discounted_occupancy
from mdplab.solvers.solve import solve
from theory.claims.families import family
from theory.errors import InputError

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PartialControl:
    """A zero-sum ``game``, the ``normal`` policy of its column player, shape (S, B), and the attacker's ``control`` in [0, 1].

    ``key`` is the call that rebuilds the instance.
    """

    game: MarkovGame
    normal: Array
    control: float
    key: str | None = None

    def __post_init__(self) -> None:
        require_zero_sum(self.game)
        if not 0 <= self.control <= 1:
            raise InputError(f"the attacker's control is a probability, not {self.control}.")
        uniform = np.full((self.game.states, self.game.actions[0]), 1 / self.game.actions[0])
        normal = as_profile(self.game, (uniform, self.normal))[1]
        normal.setflags(write=False)
        object.__setattr__(self, "normal", normal)
        object.__setattr__(self, "control", float(self.control))

    def with_control(self, control: float) -> PartialControl:
        """The same game and normal policy with another ``control``."""
        return PartialControl(self.game, self.normal, control)

    def deployed(self, attack: ArrayLike) -> Array:
        """(1 - control) normal + control ``attack``, shape (S, B): how the column player moves under the ``attack``."""
        y = as_profile(self.game, (np.empty((self.game.states, 0)), attack), skip=0)[1]
        return (1 - self.control) * self.normal + self.control * y


@dataclass(frozen=True, eq=False)
class BestAttack:
    """An attack ``policy``, shape (S, B), one action a state, and the interval [``lower``, ``upper``] with the least value, (S,).

    What the victim earns under this attack lies in the interval, too.
    """

    policy: Array
    lower: Array
    upper: Array

    @property
    def value(self) -> Array:
        """The middle of the interval, shape (S,)."""
        return (self.lower + self.upper) / 2


def modified_game(model: PartialControl) -> MarkovGame:
    """The zero-sum game with P' and r', in which the attacker is a full column player; see the module."""
    game, control = model.game, model.control
    transition = np.einsum("sb,sabt->sat", model.normal, game.transition)[:, :, None, :]
    reward = np.einsum("sb,sab->sa", model.normal, game.reward[0])[:, :, None]
    mixed = (1 - control) * reward + control * game.reward[0]
    return MarkovGame(
        (1 - control) * transition + control * game.transition, np.stack([mixed, -mixed]), game.gamma, game.start_distribution
    )


def attacked_value(model: PartialControl, victim: ArrayLike, attack: ArrayLike) -> JointEvaluation:
    """What the victim earns in the game itself while the ``attack`` is deployed: a joint evaluation of (victim, deployed)."""
    return evaluate_joint(model.game, joint_policy(model.game, (victim, model.deployed(attack))))


def best_attack(model: PartialControl, victim: ArrayLike, tol: float = 1e-9) -> BestAttack:
    """The attack that leaves the ``victim``, shape (S, A), the least, in every state at once; the interval is as wide as ``tol``.

    It is the optimum of the column player's Markov decision process in the modified game.
    """
    game = modified_game(model)
    mdp = marginal_mdp(game, 1, (victim, np.empty((game.states, 0))))
    found = solve(mdp, tol)
    policy = np.zeros((game.states, game.actions[1]))
    policy[np.arange(game.states), found.policy % game.actions[1]] = 1.0  # pairs are numbered state by state
    return BestAttack(policy, -found.upper, -found.lower)


def most_robust_victim(model: PartialControl, tol: float = 1e-8) -> ShapleySolution:
    """The victim (``row``) whose attacked value is largest in every state, and an attack (``column``) that no victim beats."""
    return hoffman_karp(modified_game(model), tol)


def attacked_occupancy(model: PartialControl, victim: ArrayLike, attack: ArrayLike) -> Occupancy:
    """The normalised occupancy under the ``attack``: ``state`` (S,) and ``pair`` (S A B,) of joint actions, in C order."""
    joint = joint_policy(model.game, (victim, model.deployed(attack)))
    return discounted_occupancy(joint_mdp(model.game), joint.reshape(-1))


# --- families ----------------------------------------------------------------------------------------------------------


@family(S=1)
def random_control(
    S: int = 3,
    actions: tuple[int, int] = (2, 2),
    gamma: float = 0.9,
    control: float = 0.2,
    concentration: float = 1.0,
    seed: int = 0,
) -> PartialControl:
    """A random game with rewards in [0, 1] (:func:`games.markov.markov_game`) and a Dirichlet(``concentration``) normal policy."""
    game = markov_game(S=S, actions=actions, gamma=gamma, payoff="zero-sum", seed=seed)
    if not 0 < concentration < np.inf:
        raise InputError(f"the concentration of a Dirichlet law is positive and finite, not {concentration}.")
    return PartialControl(game, dirichlet_rows(np.random.default_rng([seed, 1]), S, actions[1], concentration), control)


@family
def trap(gamma: float = 0.9, control: float = 0.2) -> PartialControl:
    """A good state pays 1 and stays while the other player takes 0, as it normally does; its action 1 pays 0 and ends all rewards."""
    transition = np.zeros((2, 1, 2, 2))
    transition[0, 0, 0, 0] = transition[0, 0, 1, 1] = transition[1, 0, :, 1] = 1.0
    reward = np.zeros((2, 1, 2))
    reward[0, 0, 0] = 1.0
    game = MarkovGame(transition, np.stack([reward, -reward]), gamma, np.array([1.0, 0.0]))
    return PartialControl(game, np.array([[1.0, 0.0], [1.0, 0.0]]), control)
