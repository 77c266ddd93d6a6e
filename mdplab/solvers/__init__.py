"""Exact solvers; every result carries its proof."""

from mdplab.solvers.anchored_value_iteration import anchor_weights, anchored_value_iteration
from mdplab.solvers.average_reward import average_reward_evaluation, relative_value_iteration
from mdplab.solvers.backward_induction import backward_induction, evaluate_episodic_policy
from mdplab.solvers.bellman import bellman_operator, policy_operator, q_values
from mdplab.solvers.bounds import eliminate_actions, macqueen_porteus
from mdplab.solvers.constrained import (
    ConstrainedOptimum,
    InfeasibleError,
    constrained_returns,
    deterministic_mixture,
    dual_function,
    slater_point,
    solve_constrained,
)
from mdplab.solvers.episodic_policy_gradient import episodic_mirror_descent, episodic_mirror_step
from mdplab.solvers.evaluation import evaluate_policy, expected_return
from mdplab.solvers.hypervolume import dominated_volume, hypervolume, nondominated
from mdplab.solvers.iwocs import StaticSequence, static_sequence
from mdplab.solvers.linear_programming import linear_programming
from mdplab.solvers.modified_policy_iteration import modified_policy_iteration
from mdplab.solvers.occupancy import discounted_occupancy, episodic_occupancy, flow_residual
from mdplab.solvers.pareto import pareto_certificate, pareto_front
from mdplab.solvers.policy import dense_policy, greedy_policy, softmax_policy, uniform_policy
from mdplab.solvers.policy_gradient import entropy_regularised_npg, natural_policy_gradient, policy_mirror_descent
from mdplab.solvers.policy_iteration import policy_iterates, policy_iteration
from mdplab.solvers.rational import exact_evaluation, exact_policy_iteration, rational_twin
from mdplab.solvers.return_variance import ReturnVariance, return_variance
from mdplab.solvers.robust import (
    RobustEvaluation,
    RobustSolution,
    robust_evaluation,
    robust_operator,
    robust_policy_iteration,
    robust_value_iteration,
    static_optimum,
    worst_kernel,
)
from mdplab.solvers.smoothed_policy import (
    certified_tails,
    clean_tails,
    loss_distance,
    win_probabilities,
    worst_attack,
)
from mdplab.solvers.soft import soft_bellman, soft_evaluate, soft_policy_iteration, soft_value_iteration
from mdplab.solvers.solution import Solution
from mdplab.solvers.solve import solve
from mdplab.solvers.value_iteration import value_iterates, value_iteration

__all__ = [
    "ConstrainedOptimum",
    "InfeasibleError",
    "ReturnVariance",
    "RobustEvaluation",
    "RobustSolution",
    "Solution",
    "StaticSequence",
    "anchor_weights",
    "anchored_value_iteration",
    "average_reward_evaluation",
    "backward_induction",
    "bellman_operator",
    "certified_tails",
    "clean_tails",
    "constrained_returns",
    "dense_policy",
    "deterministic_mixture",
    "discounted_occupancy",
    "dominated_volume",
    "dual_function",
    "eliminate_actions",
    "entropy_regularised_npg",
    "episodic_mirror_descent",
    "episodic_mirror_step",
    "episodic_occupancy",
    "evaluate_episodic_policy",
    "evaluate_policy",
    "exact_evaluation",
    "exact_policy_iteration",
    "expected_return",
    "flow_residual",
    "greedy_policy",
    "hypervolume",
    "linear_programming",
    "loss_distance",
    "macqueen_porteus",
    "modified_policy_iteration",
    "natural_policy_gradient",
    "nondominated",
    "pareto_certificate",
    "pareto_front",
    "policy_iterates",
    "policy_iteration",
    "policy_mirror_descent",
    "policy_operator",
    "q_values",
    "rational_twin",
    "relative_value_iteration",
    "return_variance",
    "robust_evaluation",
    "robust_operator",
    "robust_policy_iteration",
    "robust_value_iteration",
    "slater_point",
    "soft_bellman",
    "soft_evaluate",
    "soft_policy_iteration",
    "soft_value_iteration",
    "softmax_policy",
    "solve",
    "solve_constrained",
    "static_optimum",
    "static_sequence",
    "uniform_policy",
    "value_iterates",
    "value_iteration",
    "win_probabilities",
    "worst_attack",
    "worst_kernel",
]
