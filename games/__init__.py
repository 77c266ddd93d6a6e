"""Games: preference, matrix and extensive-form games, certified solutions, dynamics that learn them, monotone inclusions."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from games.accelerated import AcceleratedRun as AcceleratedRun
    from games.accelerated import accelerated_preference_optimization as accelerated_preference_optimization
    from games.accelerated import effective_time as effective_time
    from games.accelerated import nesterov_momentum as nesterov_momentum
    from games.advantage_decomposition import conditionals as conditionals
    from games.advantage_decomposition import greedy_refinement as greedy_refinement
    from games.advantage_decomposition import joint_awr as joint_awr
    from games.advantage_decomposition import marginal_advantages as marginal_advantages
    from games.advantage_decomposition import prefix_values as prefix_values
    from games.advantage_decomposition import sequential_advantages as sequential_advantages
    from games.advantage_decomposition import sequential_awr as sequential_awr
    from games.advantage_decomposition import simultaneous_awr as simultaneous_awr
    from games.adversarial_training import TrainingRun as TrainingRun
    from games.adversarial_training import guaranteed_returns as guaranteed_returns
    from games.adversarial_training import two_timescale_training as two_timescale_training
    from games.anchored import AnchoredRun as AnchoredRun
    from games.anchored import eag_c as eag_c
    from games.anchored import eag_v as eag_v
    from games.anchored import eag_v_steps as eag_v_steps
    from games.anchored import extragradient as extragradient
    from games.anchored import fast_extragradient as fast_extragradient
    from games.anchored import halpern as halpern
    from games.common_payoff import CommonPayoffGame as CommonPayoffGame
    from games.common_payoff import action_values as action_values
    from games.common_payoff import anti_coordination as anti_coordination
    from games.common_payoff import payoff_table as payoff_table
    from games.common_payoff import simultaneous_best_responses as simultaneous_best_responses
    from games.common_payoff import simultaneous_mirror_descent as simultaneous_mirror_descent
    from games.common_payoff import win_or_lose as win_or_lose
    from games.commons import Commons as Commons
    from games.commons import Harvest as Harvest
    from games.commons import deviation_gain as deviation_gain
    from games.commons import fixed_amounts as fixed_amounts
    from games.commons import grim_trigger_threshold as grim_trigger_threshold
    from games.commons import max_yield as max_yield
    from games.commons import share_of_stock as share_of_stock
    from games.commons import symmetric_play as symmetric_play
    from games.counterfactual_regret import CFRRun as CFRRun
    from games.counterfactual_regret import cfr as cfr
    from games.counterfactual_regret import cfr_plus as cfr_plus
    from games.counterfactual_regret import reached_regret as reached_regret
    from games.counterfactual_regret import regret_scale as regret_scale
    from games.datasets import load_counts as load_counts
    from games.datasets import open_spiel_matrix as open_spiel_matrix
    from games.datasets import open_spiel_metagame as open_spiel_metagame
    from games.datasets import ranked as ranked
    from games.debate import Judge as Judge
    from games.debate import JustifiableMDP as JustifiableMDP
    from games.debate import debate_value as debate_value
    from games.debate import debate_values as debate_values
    from games.debate import interacting_scores as interacting_scores
    from games.debate import maximin_evidence as maximin_evidence
    from games.debate import myopic_value as myopic_value
    from games.debate import trade_off as trade_off
    from games.direct_nash import direct_nash_optimization as direct_nash_optimization
    from games.direct_nash import fit_finite_class as fit_finite_class
    from games.direct_nash import pairwise_cross_entropy as pairwise_cross_entropy
    from games.direct_nash import squared_preference_error as squared_preference_error
    from games.dynamics import Run as Run
    from games.dynamics import average_policy as average_policy
    from games.extensive_form import Chance as Chance
    from games.extensive_form import Decision as Decision
    from games.extensive_form import ExtensiveFormGame as ExtensiveFormGame
    from games.extensive_form import Leaf as Leaf
    from games.extensive_form import Treeplex as Treeplex
    from games.extensive_form import open_spiel_game as open_spiel_game
    from games.extensive_form import private_types as private_types
    from games.extensive_form import to_sequence_form as to_sequence_form
    from games.extensive_form import without_actions as without_actions
    from games.factored import LowRankGame as LowRankGame
    from games.factored import low_rank_factors as low_rank_factors
    from games.factored import solve_low_rank as solve_low_rank
    from games.generators import additive as additive
    from games.generators import bradley_terry as bradley_terry
    from games.generators import clone as clone
    from games.generators import cloned as cloned
    from games.generators import cyclic as cyclic
    from games.generators import logistic as logistic
    from games.generators import low_rank as low_rank
    from games.generators import rock_paper_scissors as rock_paper_scissors
    from games.generators import tight_pair as tight_pair
    from games.generators import tilted as tilted
    from games.generators import tournament as tournament
    from games.generators import transitive_tournament as transitive_tournament
    from games.generators import uniform as uniform
    from games.generators import with_condorcet_winner as with_condorcet_winner
    from games.hidden_code import least_regret as least_regret
    from games.hidden_code import memoryless_regret as memoryless_regret
    from games.hidden_code import play_search as play_search
    from games.hidden_code import search_regret as search_regret
    from games.hidden_code import uninformed_regret as uninformed_regret
    from games.inclusions import Calls as Calls
    from games.inclusions import FiniteSum as FiniteSum
    from games.inclusions import LinearOperator as LinearOperator
    from games.inclusions import Operator as Operator
    from games.inclusions import bilinear as bilinear
    from games.inclusions import clipped_rotation as clipped_rotation
    from games.inclusions import frequencies as frequencies
    from games.inclusions import huber as huber
    from games.inclusions import huber_sum as huber_sum
    from games.inclusions import identity_minus_orthogonal as identity_minus_orthogonal
    from games.inclusions import identity_minus_rotation as identity_minus_rotation
    from games.inclusions import monotone_matrix as monotone_matrix
    from games.inclusions import planar as planar
    from games.inclusions import rotational_games as rotational_games
    from games.inclusions import rotations_cocoercive as rotations_cocoercive
    from games.inclusions import saddle as saddle
    from games.inclusions import semidefinite as semidefinite
    from games.inclusions import sparse_heavy as sparse_heavy
    from games.inverse_q import InverseQOptimum as InverseQOptimum
    from games.inverse_q import demonstrated_values as demonstrated_values
    from games.inverse_q import expert_values as expert_values
    from games.inverse_q import inverse_q_objective as inverse_q_objective
    from games.inverse_q import inverse_q_optimum as inverse_q_optimum
    from games.inverse_q import inverse_soft_bellman as inverse_soft_bellman
    from games.linear_programming import MatrixGameSolution as MatrixGameSolution
    from games.linear_programming import solve_nash_lp as solve_nash_lp
    from games.logit_equilibrium import LogitEquilibrium as LogitEquilibrium
    from games.logit_equilibrium import soft_response as soft_response
    from games.markov import JointEvaluation as JointEvaluation
    from games.markov import MarkovGame as MarkovGame
    from games.markov import evaluate_joint as evaluate_joint
    from games.markov import joint_mdp as joint_mdp
    from games.markov import joint_policy as joint_policy
    from games.markov import marginal_mdp as marginal_mdp
    from games.markov import markov_game as markov_game
    from games.mirror_descent import hedge as hedge
    from games.mirror_descent import inpo as inpo
    from games.mirror_descent import magnetic_mirror_descent as magnetic_mirror_descent
    from games.mirror_descent import nash_mirror_descent as nash_mirror_descent
    from games.mirror_descent import online_ipo as online_ipo
    from games.mirror_prox import MirrorProxRun as MirrorProxRun
    from games.mirror_prox import nash_mirror_prox as nash_mirror_prox
    from games.nondominated import Discovery as Discovery
    from games.nondominated import MixtureGap as MixtureGap
    from games.nondominated import class_gap as class_gap
    from games.nondominated import greedy_discovery as greedy_discovery
    from games.nondominated import mixture_gap as mixture_gap
    from games.nondominated import pointwise_gap as pointwise_gap
    from games.nondominated import prune as prune
    from games.oracle import Oracle as Oracle
    from games.oracle import exact_oracle as exact_oracle
    from games.oracle import sampled_oracle as sampled_oracle
    from games.pairwise_losses import dpo_loss as dpo_loss
    from games.pairwise_losses import expected_pair_loss as expected_pair_loss
    from games.pairwise_losses import inpo_log_ratios as inpo_log_ratios
    from games.pairwise_losses import inpo_loss as inpo_loss
    from games.pairwise_losses import inpo_regression_loss as inpo_regression_loss
    from games.pairwise_losses import ipo_loss as ipo_loss
    from games.pairwise_losses import sppo_loss as sppo_loss
    from games.pairwise_losses import sppo_regression_loss as sppo_regression_loss
    from games.partial_control import BestAttack as BestAttack
    from games.partial_control import PartialControl as PartialControl
    from games.partial_control import attacked_occupancy as attacked_occupancy
    from games.partial_control import attacked_value as attacked_value
    from games.partial_control import best_attack as best_attack
    from games.partial_control import modified_game as modified_game
    from games.partial_control import most_robust_victim as most_robust_victim
    from games.partial_control import random_control as random_control
    from games.partial_control import trap as trap
    from games.poker import kuhn as kuhn
    from games.poker import leduc as leduc
    from games.preference import PreferenceGame as PreferenceGame
    from games.prox import natural_gradient_prox as natural_gradient_prox
    from games.rankings import PairwiseCounts as PairwiseCounts
    from games.rankings import count_rankings as count_rankings
    from games.rankings import read_pairwise_csv as read_pairwise_csv
    from games.rankings import read_preflib as read_preflib
    from games.regularised import RegularisedNash as RegularisedNash
    from games.regularised import exploitability as exploitability
    from games.regularised import smoothed_best_response as smoothed_best_response
    from games.regularised import solve_regularised as solve_regularised
    from games.self_play import project_to_simplex as project_to_simplex
    from games.self_play import projected_gradient_ascent as projected_gradient_ascent
    from games.self_play import regret as regret
    from games.self_play import regret_matching as regret_matching
    from games.sequence_form import SequenceFormSolution as SequenceFormSolution
    from games.sequence_form import best_plan as best_plan
    from games.sequence_form import best_response as best_response
    from games.sequence_form import expected_payoff as expected_payoff
    from games.sequence_form import guarantees as guarantees
    from games.sequence_form import nash_conv as nash_conv
    from games.sequence_form import solve_sequence_form as solve_sequence_form
    from games.shapley import Guarantees as Guarantees
    from games.shapley import ShapleySolution as ShapleySolution
    from games.shapley import ShapleyStep as ShapleyStep
    from games.shapley import hoffman_karp as hoffman_karp
    from games.shapley import shapley_iterates as shapley_iterates
    from games.shapley import shapley_iteration as shapley_iteration
    from games.shapley import shapley_operator as shapley_operator
    from games.shapley import stationary_guarantees as stationary_guarantees
    from games.signalling import DecisionTimeSearch as DecisionTimeSearch
    from games.signalling import Profile as Profile
    from games.signalling import SignallingGame as SignallingGame
    from games.signalling import learner_update as learner_update
    from games.signalling import name_the_state as name_the_state
    from games.signalling import random_profile as random_profile
    from games.signalling import sparse_signalling as sparse_signalling
    from games.symmetric_population import SymmetricGame as SymmetricGame
    from games.symmetric_population import best_latents as best_latents
    from games.symmetric_population import crowding as crowding
    from games.symmetric_population import exploitability_slope as exploitability_slope
    from games.symmetric_population import first_come as first_come
    from games.symmetric_population import greedy_latents as greedy_latents
    from games.symmetric_population import served_exploitability as served_exploitability
    from games.symmetric_population import symmetric_equilibria as symmetric_equilibria
    from games.taxation import CurvedEconomy as CurvedEconomy
    from games.taxation import TaxEconomy as TaxEconomy
    from games.taxation import TaxSchedule as TaxSchedule
    from games.taxation import curved_outcome as curved_outcome
    from games.taxation import mechanism as mechanism
    from games.taxation import mechanism_bound as mechanism_bound
    from games.taxation import optimal_flat_rate as optimal_flat_rate
    from games.taxation import optimal_rates as optimal_rates
    from games.taxation import saez_rate as saez_rate
    from games.taxation import two_point_ascent as two_point_ascent
    from games.taxation import welfare as welfare
    from games.variance_reduction import InexactRun as InexactRun
    from games.variance_reduction import PageRun as PageRun
    from games.variance_reduction import PageSchedule as PageSchedule
    from games.variance_reduction import inexact_halpern as inexact_halpern
    from games.variance_reduction import page_halpern as page_halpern
    from games.variance_reduction import page_schedule as page_schedule
    from games.variance_reduction import resolvent as resolvent
    from games.zero_sum import RegularisedZeroSumNash as RegularisedZeroSumNash
    from games.zero_sum import ZeroSumGame as ZeroSumGame
    from games.zero_sum import ZeroSumRun as ZeroSumRun
    from games.zero_sum import detection as detection
    from games.zero_sum import hedge_self_play as hedge_self_play
    from games.zero_sum import hedge_steps as hedge_steps
    from games.zero_sum import interior_zero_sum as interior_zero_sum
    from games.zero_sum import matching_pennies as matching_pennies
    from games.zero_sum import row_guarantee as row_guarantee
    from games.zero_sum import solve_regularised_zero_sum as solve_regularised_zero_sum
    from games.zero_sum import specialists as specialists
    from games.zero_sum import zero_sum_descent as zero_sum_descent

_ROOMS = {
    "accelerated": ("AcceleratedRun", "accelerated_preference_optimization", "effective_time", "nesterov_momentum"),
    "advantage_decomposition": (
        "conditionals",
        "greedy_refinement",
        "joint_awr",
        "marginal_advantages",
        "prefix_values",
        "sequential_advantages",
        "sequential_awr",
        "simultaneous_awr",
    ),
    "adversarial_training": ("TrainingRun", "guaranteed_returns", "two_timescale_training"),
    "anchored": ("AnchoredRun", "eag_c", "eag_v", "eag_v_steps", "extragradient", "fast_extragradient", "halpern"),
    "common_payoff": (
        "CommonPayoffGame",
        "action_values",
        "anti_coordination",
        "payoff_table",
        "simultaneous_best_responses",
        "simultaneous_mirror_descent",
        "win_or_lose",
    ),
    "commons": (
        "Commons",
        "Harvest",
        "deviation_gain",
        "fixed_amounts",
        "grim_trigger_threshold",
        "max_yield",
        "share_of_stock",
        "symmetric_play",
    ),
    "counterfactual_regret": ("CFRRun", "cfr", "cfr_plus", "reached_regret", "regret_scale"),
    "datasets": ("load_counts", "open_spiel_matrix", "open_spiel_metagame", "ranked"),
    "debate": (
        "Judge",
        "JustifiableMDP",
        "debate_value",
        "debate_values",
        "interacting_scores",
        "maximin_evidence",
        "myopic_value",
        "trade_off",
    ),
    "direct_nash": ("direct_nash_optimization", "fit_finite_class", "pairwise_cross_entropy", "squared_preference_error"),
    "dynamics": ("Run", "average_policy"),
    "extensive_form": (
        "Chance",
        "Decision",
        "ExtensiveFormGame",
        "Leaf",
        "Treeplex",
        "open_spiel_game",
        "private_types",
        "to_sequence_form",
        "without_actions",
    ),
    "factored": ("LowRankGame", "low_rank_factors", "solve_low_rank"),
    "generators": (
        "additive",
        "bradley_terry",
        "clone",
        "cloned",
        "cyclic",
        "logistic",
        "low_rank",
        "rock_paper_scissors",
        "tight_pair",
        "tilted",
        "tournament",
        "transitive_tournament",
        "uniform",
        "with_condorcet_winner",
    ),
    "hidden_code": ("least_regret", "memoryless_regret", "play_search", "search_regret", "uninformed_regret"),
    "inclusions": (
        "Calls",
        "FiniteSum",
        "LinearOperator",
        "Operator",
        "bilinear",
        "clipped_rotation",
        "frequencies",
        "huber",
        "huber_sum",
        "identity_minus_orthogonal",
        "identity_minus_rotation",
        "monotone_matrix",
        "planar",
        "rotational_games",
        "rotations_cocoercive",
        "saddle",
        "semidefinite",
        "sparse_heavy",
    ),
    "inverse_q": (
        "InverseQOptimum",
        "demonstrated_values",
        "expert_values",
        "inverse_q_objective",
        "inverse_q_optimum",
        "inverse_soft_bellman",
    ),
    "linear_programming": ("MatrixGameSolution", "solve_nash_lp"),
    "logit_equilibrium": ("LogitEquilibrium", "soft_response"),
    "markov": ("JointEvaluation", "MarkovGame", "evaluate_joint", "joint_mdp", "joint_policy", "marginal_mdp", "markov_game"),
    "mirror_descent": ("hedge", "inpo", "magnetic_mirror_descent", "nash_mirror_descent", "online_ipo"),
    "mirror_prox": ("MirrorProxRun", "nash_mirror_prox"),
    "nondominated": ("Discovery", "MixtureGap", "class_gap", "greedy_discovery", "mixture_gap", "pointwise_gap", "prune"),
    "oracle": ("Oracle", "exact_oracle", "sampled_oracle"),
    "pairwise_losses": (
        "dpo_loss",
        "expected_pair_loss",
        "inpo_log_ratios",
        "inpo_loss",
        "inpo_regression_loss",
        "ipo_loss",
        "sppo_loss",
        "sppo_regression_loss",
    ),
    "partial_control": (
        "BestAttack",
        "PartialControl",
        "attacked_occupancy",
        "attacked_value",
        "best_attack",
        "modified_game",
        "most_robust_victim",
        "random_control",
        "trap",
    ),
    "poker": ("kuhn", "leduc"),
    "preference": ("PreferenceGame",),
    "prox": ("natural_gradient_prox",),
    "rankings": ("PairwiseCounts", "count_rankings", "read_pairwise_csv", "read_preflib"),
    "regularised": ("RegularisedNash", "exploitability", "smoothed_best_response", "solve_regularised"),
    "self_play": ("project_to_simplex", "projected_gradient_ascent", "regret", "regret_matching"),
    "sequence_form": (
        "SequenceFormSolution",
        "best_plan",
        "best_response",
        "expected_payoff",
        "guarantees",
        "nash_conv",
        "solve_sequence_form",
    ),
    "shapley": (
        "Guarantees",
        "ShapleySolution",
        "ShapleyStep",
        "hoffman_karp",
        "shapley_iterates",
        "shapley_iteration",
        "shapley_operator",
        "stationary_guarantees",
    ),
    "signalling": (
        "DecisionTimeSearch",
        "Profile",
        "SignallingGame",
        "learner_update",
        "name_the_state",
        "random_profile",
        "sparse_signalling",
    ),
    "symmetric_population": (
        "SymmetricGame",
        "best_latents",
        "crowding",
        "exploitability_slope",
        "first_come",
        "greedy_latents",
        "served_exploitability",
        "symmetric_equilibria",
    ),
    "taxation": (
        "CurvedEconomy",
        "TaxEconomy",
        "TaxSchedule",
        "curved_outcome",
        "mechanism",
        "mechanism_bound",
        "optimal_flat_rate",
        "optimal_rates",
        "saez_rate",
        "two_point_ascent",
        "welfare",
    ),
    "variance_reduction": (
        "InexactRun",
        "PageRun",
        "PageSchedule",
        "inexact_halpern",
        "page_halpern",
        "page_schedule",
        "resolvent",
    ),
    "zero_sum": (
        "RegularisedZeroSumNash",
        "ZeroSumGame",
        "ZeroSumRun",
        "detection",
        "hedge_self_play",
        "hedge_steps",
        "interior_zero_sum",
        "matching_pennies",
        "row_guarantee",
        "solve_regularised_zero_sum",
        "specialists",
        "zero_sum_descent",
    ),
}
_WHERE = {name: room for room, names in _ROOMS.items() for name in names}

__all__ = sorted(_WHERE)


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_WHERE[name]}"), name)


def __dir__() -> list[str]:
    return __all__
