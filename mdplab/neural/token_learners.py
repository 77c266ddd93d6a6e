r"""Learners of a token policy: a small transformer on a token tree, whose soft-optimal policy is known.

The objective is :math:`\mathbb{E}_\pi r - \beta\,\mathrm{KL}(\pi\|\mu)` with a reference :math:`\mu` that is a transformer
itself. All learners but one are policy gradients in the same form: what they differ in is the derivative of their loss by the
log-probabilities of the A^H responses, a vector of as many numbers, which one backward pass takes to the weights. So all of
them are one compiled program, and a hyperparameter for each says how much it weighs (:func:`setting`): computing all of their
vectors costs far less than the transformer's pass.

With :math:`A(y) = r(y) - \beta \ln(\pi(y)/\mu(y))`, and K responses in a batch:

* ``exact``: the gradient of the objective, by enumeration.
* ``reinforce``: :math:`\frac1K \sum_i (A(y_i) - b_i) \nabla \ln \pi(y_i)` for draws from the policy, b_i the mean of the other
  draws' A (Ahmadian et al. 2024, arXiv 2402.14740).
* ``online_dpo``, ``offline_dpo``: the loss of direct preference optimisation (Rafailov et al. 2023, arXiv 2305.18290) on K/2
  fresh pairs from the policy, or from the reference whatever the policy, labelled by Bradley and Terry's model of the rewards.
* ``grpo_pairs``, ``grpo_batch``: group-normalised advantages of the rewards (Shao et al. 2024, arXiv 2402.03300) in groups of
  two, or with the whole batch as one group, less the exact gradient of :math:`\beta\,\mathrm{KL}(\pi\|\mu)`.
* ``path``: the squared violation of :math:`V_0 + \beta \ln(\pi(y)/\mu(y)) = r(y)` (Nachum et al. 2017, arXiv 1702.08892), all
  responses weighing the same, with V_0 the mean, which minimises it.
* ``soft_q``: the network's logits l are read as soft values, :math:`Q(s, a) = \beta (l(s, a) - \ln \mu(a|s))` and
  :math:`V(s) = \beta \ln \sum_a e^{l(s, a)}`, so that the policy is :math:`\mu\, e^{(Q - V)/\beta}`; Q is fitted to
  :math:`r + V(sa)` by least squares over all edges, the targets being constants of each step.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, Literal, get_args

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike, NDArray

from mdplab.learning.group_advantages import pair_fixed_point
from mdplab.models.interaction_tree import interaction_rewards
from mdplab.models.token_tree import TokenTree, terminal_rewards
from mdplab.neural.networks import REAL, adam_state, adam_step
from mdplab.neural.training import Experiment, Hyper, Measured
from mdplab.neural.transformer import Transformer, leaf_sums, levels_of, log_policy, next_token_logits, transformer
from mdplab.solvers.token_tree import leaf_log_probabilities, soft_backup
from theory.errors import InputError
from theory.random_streams import read_seeds
from theory.tilts import require_temperature

Array = NDArray[np.float64]
Learner = Literal["exact", "reinforce", "online_dpo", "offline_dpo", "grpo_pairs", "grpo_batch", "path", "soft_q"]
LEARNERS: tuple[Learner, ...] = get_args(Learner)
EQUAL = 1e-4  # added to the deviation of a group, as implementations do


class TokenProblem(eqx.Module):
    """A token tree with a transformer as its reference; a stack of them has a leading axis of runs in every field.

    ``reference`` the weights; in float64 ``log_reference`` (N, A) over the heap of prefixes, ``reward`` and ``log_optimum``
    (A^H,) of responses, ``log_pairs`` (A^H,) the fixed point of groups of two, ``value`` () the optimal value V(root), ``beta``
    ().
    """

    reference: Any
    log_reference: Any
    reward: Any
    log_optimum: Any
    log_pairs: Any
    value: Any
    beta: Any


def token_problems(
    seeds: ArrayLike,
    *,
    tokens: int = 3,
    length: int = 4,
    width: int = 16,
    heads: int = 2,
    spread: float = 1.0,
    beta: float = 0.3,
    pairs: bool = True,
) -> TokenProblem:
    """A stack of problems, one for each seed: a fresh transformer as the reference, and interactions of pairs of tokens as
    rewards.

    Without ``pairs`` the fixed points of groups of two are not computed, and the soft-optimal policy stands in their place.
    What is known of them comes from :func:`token_trees`, solved by :func:`mdplab.solvers.token_tree.soft_backup`.
    """
    require_temperature(beta)
    each = read_seeds(seeds)
    with jax.enable_x64(True):
        networks, logs = _references(tokens, length, width, heads)(
            np.stack([each >> 32, each & 0xFFFFFFFF], 1).astype(np.uint32)
        )
        log_reference = np.asarray(logs)
    rewards = np.stack([interaction_rewards(tokens, length, spread, np.random.default_rng(seed)) for seed in each])
    trees = token_trees(log_reference, rewards)
    optima = [soft_backup(tree, beta) for tree in trees]
    log_optimum = np.stack([leaf_log_probabilities(optimum.log_policy) for optimum in optima])
    log_pairs = log_optimum
    if pairs:
        references = (leaf_log_probabilities(tree.log_reference) for tree in trees)
        log_pairs = np.stack([pair_fixed_point(mu, r, beta).log_policy for mu, r in zip(references, rewards)])
    return TokenProblem(
        reference=jax.tree.map(np.asarray, networks),
        log_reference=log_reference,
        reward=rewards,
        log_optimum=log_optimum,
        log_pairs=log_pairs,
        value=np.array([optimum.value[0][0] for optimum in optima]),
        beta=np.full(each.size, beta),
    )


def token_trees(log_reference: Array, rewards: Array) -> list[TokenTree]:
    """The trees of a stack: ``log_reference`` (runs, N, A) over the heap of prefixes, ``rewards`` (runs, A^H) of responses."""
    found = []
    for logs, leaf in zip(log_reference, rewards):
        levels = levels_of(logs)
        blank = TokenTree(tuple(np.zeros_like(level) for level in levels), levels)
        found.append(TokenTree(terminal_rewards(blank, leaf), levels))
    return found


@functools.lru_cache(maxsize=16)
def _references(tokens: int, length: int, width: int, heads: int) -> Any:
    """Compiled: keys (runs, 2) to transformers, and their log-probabilities in float64."""

    def one(words: jax.Array) -> tuple[Transformer, jax.Array]:
        network = transformer(jax.random.wrap_key_data(words, impl="threefry2x32"), tokens, length, width, heads=heads)
        return network, log_policy(_double(network))

    options = {"xla_backend_optimization_level": 0} if jax.default_backend() == "cpu" else {}
    return jax.jit(jax.vmap(one), compiler_options=options)


def setting(
    learner: Learner,
    *,
    rate: float = 0.01,
    penalty: float = 1.0,
    deviation: bool = True,
    lookahead: float = 1.0,
    width: int = 16,
    fresh: bool = False,
) -> dict[str, float]:
    """The hyperparameters of a ``learner`` alone.

    ``rate`` is that of Adam. ``penalty`` multiplies the KL term of ``exact`` and ``reinforce``: 0 leaves it out. Without
    ``deviation`` the advantages of groups are not divided by theirs. ``lookahead`` multiplies the V(sa) in the targets of
    ``soft_q``. With ``fresh`` the policy begins with random weights of ``width`` channels instead of the reference's; otherwise
    ``width`` is that of the reference.

    Raises :class:`InputError` for another learner.
    """
    if learner not in LEARNERS:
        raise InputError(f"there is no learner {learner!r}; there are {', '.join(LEARNERS)}.")
    weights = {name: float(name == learner) for name in LEARNERS}
    return weights | {
        "rate": rate,
        "penalty": penalty,
        "deviation": float(deviation),
        "lookahead": lookahead,
        "width": float(width),
        "fresh": float(fresh),
    }


@dataclass(frozen=True)
class TokenLearning(Experiment):
    """Training of a transformer's token policy by the learner that the hyperparameters say (:func:`setting`).

    ``batch`` responses, an even number, are drawn for every step of the learners that sample. The sizes are those of the
    problems.

    Measured: ``gap`` = V(root) - J(pi) = beta KL(pi || pi*) of laws of responses; ``initial``, that of the reference;
    ``kl_pairs`` = KL(pi || the fixed point of groups of two); ``reward`` = E_pi r; ``best`` = the largest probability of a
    response; ``soft_value`` = the root's soft value as the logits have it.  With ``policies`` also ``policy`` (N, A), the
    log-probabilities of tokens.
    """

    tokens: int = 3
    length: int = 4
    width: int = 16
    heads: int = 2
    batch: int = 64
    policies: bool = False

    def __post_init__(self) -> None:
        if self.batch < 4 or self.batch % 2:
            raise InputError(f"a batch holds an even number of responses, at least 4, not {self.batch}.")

    def init(self, key: jax.Array, problem: TokenProblem, hyper: Hyper) -> Any:
        """The reference's weights, or fresh ones."""
        fresh = transformer(key, self.tokens, self.length, self.width, heads=self.heads, active=hyper["width"])
        network = jax.tree.map(lambda old, new: jnp.where(hyper["fresh"] > 0, new, old), problem.reference, fresh)
        return network, adam_state(network)

    def update(self, state: Any, key: jax.Array, problem: TokenProblem, hyper: Hyper) -> Any:
        """One step of Adam."""
        network, optimiser = state
        reference = problem.log_reference.astype(REAL)
        reward, beta = problem.reward.astype(REAL), problem.beta.astype(REAL)
        leaf_reference = leaf_sums(reference)

        def loss(network: Transformer) -> jax.Array:
            logits = next_token_logits(network, hyper["width"])
            logs = leaf_sums(jax.nn.log_softmax(logits, axis=-1))
            pull = policy_pulls(key, jax.lax.stop_gradient(logs), leaf_reference, reward, beta, hyper, self.batch)
            error = soft_bellman_error(logits, reference, reward, beta, hyper["lookahead"])
            return hyper["soft_q"] * error - jnp.vdot(pull, logs)

        gradient = jax.grad(loss)(network)
        return adam_step(network, gradient, optimiser, hyper["rate"])

    def measure(self, state: Any, problem: TokenProblem, hyper: Hyper) -> Measured:
        """By enumeration, in float64."""
        logits = next_token_logits(_double(state[0]), hyper["width"].astype(jnp.float64))
        tokens = jax.nn.log_softmax(logits, axis=-1)
        logs = leaf_sums(tokens)
        law = jnp.exp(logs)
        start = jnp.exp(leaf_sums(problem.log_reference))
        measured = {
            "gap": problem.beta * jnp.vdot(law, logs - problem.log_optimum),
            "initial": problem.value - jnp.vdot(start, problem.reward),
            "kl_pairs": jnp.vdot(law, logs - problem.log_pairs),
            "reward": jnp.vdot(law, problem.reward),
            "best": law.max(),
            "soft_value": problem.beta * jax.nn.logsumexp(logits[0]) - problem.value,
        }
        return measured | ({"policy": tokens} if self.policies else {})


def policy_pulls(
    key: jax.Array,
    logs: jax.Array,
    reference: jax.Array,
    reward: jax.Array,
    beta: jax.Array,
    hyper: Hyper,
    batch: int,
) -> jax.Array:
    """How each learner pulls at the log-probabilities ``logs`` of the responses (A^H,), added up with the weights of ``hyper``.

    What is returned is minus the derivative of the loss by ``logs``. All arguments are of responses, in float32.
    """
    law = jnp.exp(logs)
    ratio = logs - reference
    penalised = reward - hyper["penalty"] * beta * ratio
    uniform = jax.random.uniform(key, (batch + batch // 2,), dtype=REAL)
    ours, theirs = _draws(uniform[:batch], jnp.stack((law, jnp.exp(reference))))
    coin = uniform[batch:]

    def by_draws(coefficients: jax.Array, drawn: jax.Array) -> jax.Array:
        return coefficients @ drawn / batch

    earned = ours @ penalised
    paid = ours @ reward
    pairs = paid.reshape(-1, 2)
    penalty = -beta * law * (ratio - jnp.vdot(law, ratio))
    advantage = reward - beta * ratio
    pulls = {
        "exact": law * (penalised - jnp.vdot(law, penalised)),
        "reinforce": by_draws((earned - earned.mean()) * (batch / (batch - 1)), ours),
        "online_dpo": by_draws(_dpo_pulls(ours, reward, ratio, beta, coin), ours),
        "offline_dpo": by_draws(_dpo_pulls(theirs, reward, ratio, beta, coin), theirs),
        "grpo_pairs": by_draws(group_advantage(pairs, hyper["deviation"]).ravel(), ours) + penalty,
        "grpo_batch": by_draws(group_advantage(paid[None], hyper["deviation"])[0], ours) + penalty,
        "path": (advantage - advantage.mean()) / advantage.size,
    }
    return sum(hyper[name] * pull for name, pull in pulls.items())


def _draws(uniform: jax.Array, laws: jax.Array) -> jax.Array:
    """One-hot responses (L, batch, A^H) of each of the ``laws`` (L, A^H), from the same uniform numbers (batch,)."""
    upper = jnp.cumsum(laws, axis=-1).at[:, -1].set(2.0)[:, None]
    lower = jnp.pad(upper[..., :-1], ((0, 0), (0, 0), (1, 0)))
    level = uniform[:, None]
    return ((lower <= level) & (level < upper)).astype(REAL)


def _dpo_pulls(drawn: jax.Array, reward: jax.Array, ratio: jax.Array, beta: jax.Array, coin: jax.Array) -> jax.Array:
    """The coefficients (batch,) of the responses in pairs, the winner's and minus that of the loser."""
    values = jnp.stack((drawn @ reward, drawn @ ratio), axis=1).reshape(-1, 2, 2)
    better, margin = (values[:, 0] - values[:, 1]).T
    sign = jnp.where(coin < jax.nn.sigmoid(better), 1.0, -1.0).astype(REAL)
    weight = sign * beta * jax.nn.sigmoid(-sign * beta * margin)
    return jnp.stack((weight, -weight), axis=1).ravel()


def group_advantage(paid: jax.Array, deviation: jax.Array | float) -> jax.Array:
    """Rewards (groups, G) less the group's mean, over its deviation; a ``deviation`` of 0 leaves the division out."""
    centred = paid - paid.mean(axis=1, keepdims=True)
    spread = jnp.sqrt((centred**2).mean(axis=1, keepdims=True)) + EQUAL
    return centred / jnp.where(deviation > 0, spread, jnp.ones_like(spread))


def soft_bellman_error(
    logits: jax.Array, reference: jax.Array, reward: jax.Array, beta: jax.Array, lookahead: jax.Array | float = 1.0
) -> jax.Array:
    r"""The mean squared error of :math:`Q(s, a) = \beta(l(s, a) - \ln \mu(a|s))` against r + V(sa), V = beta ln sum exp l a
    constant.

    ``logits`` l and ``reference`` have the shape (N, A) over the heap of prefixes; ``reward`` (A^H,) is paid with the last
    token. ``lookahead`` multiplies V(sa).
    """
    value = lookahead * beta * jax.nn.logsumexp(logits, axis=-1)
    target = jnp.concatenate((value[1:], reward)).reshape(logits.shape)
    return ((beta * (logits - reference) - jax.lax.stop_gradient(target)) ** 2).mean()


def _double(network: Transformer) -> Transformer:
    return jax.tree.map(lambda leaf: leaf.astype(jnp.float64), network)
