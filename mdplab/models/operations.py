"""Models of operations research: stock control and the admission of customers to a queue."""

from __future__ import annotations

import numpy as np

from mdplab.models.families import model_family, require
from mdplab.models.tabular import TabularMDP, positions


@model_family(capacity=2, most=1)
def inventory(
    capacity: int = 20,
    demand: float = 0.3,
    price: float = 4.0,
    order_cost: float = 2.0,
    fixed_cost: float = 3.0,
    holding: float = 0.1,
    most: int = 10,
    gamma: float = 0.95,
) -> TabularMDP:
    """Stock control with lost sales: hold up to ``capacity`` units, order up to ``most``, then a geometric demand arrives.

    State s is the stock, action a the order, a <= min(most, capacity - s) (so the model is ragged). The demand D has
    P(D >= k) = (1 - demand)^k, cut off at 3 ``most`` units; then s' = max(s + a - D, 0), and the transition matrix is banded.
    The reward is price E[units sold] - order_cost a - fixed_cost [a > 0] - holding (s + a).
    """
    require(
        capacity >= 2 and 1 <= most <= capacity,
        f"inventory needs capacity >= 2 and 1 <= most <= capacity, not capacity={capacity}, most={most}.",
    )
    require(0 < demand < 1, f"the demand parameter is {demand}; it must lie strictly between 0 and 1.")
    longest = 3 * most
    law = demand * (1 - demand) ** np.arange(longest + 1)  # P(D = k)
    tail = (1 - demand) ** np.arange(longest + 1)  # P(D >= k)
    stock = np.arange(capacity + 1)
    counts = np.minimum(most, capacity - stock) + 1
    order = positions(counts)
    level = np.repeat(stock, counts) + order
    width = np.minimum(level, longest) + 1  # the last entry of a row collects all demand that empties the shelf
    rows = np.concatenate(([0], np.cumsum(width)))
    sold = positions(width)
    probability = np.where(sold == np.repeat(width, width) - 1, tail[sold], law[sold])
    mean_sold = np.add.reduceat(probability * sold, rows[:-1])
    return TabularMDP(
        state_pointer=np.concatenate(([0], np.cumsum(counts))),
        row_pointer=rows,
        next_state=(np.repeat(level, width) - sold).astype(np.int32),
        probability=probability,
        reward=price * mean_sold - order_cost * order - fixed_cost * (order > 0) - holding * level,
        gamma=gamma,
    )


@model_family(capacity=1)
def queue_admission(
    capacity: int = 10, arrival: float = 0.6, service: float = 0.5, fee: float = 5.0, holding: float = 0.3, gamma: float = 0.95
) -> TabularMDP:
    """Admission to a queue in discrete time (after Naor 1969): admit whoever arrives (action 1) or turn away (action 0).

    State n is the number of customers. In each step the one in service leaves with probability ``service``, then a newcomer
    arrives with probability ``arrival``. An admitted newcomer pays ``fee``; every customer present at the start of the step
    costs ``holding``. A queue that starts the step full can only turn away, so the model is ragged.
    """
    require(capacity >= 1, f"the queue needs room for one customer or more, not {capacity}.")
    require(0 < arrival < 1 and 0 < service < 1, f"arrival {arrival} and service {service} must lie strictly between 0 and 1.")
    from scipy.sparse import coo_array

    counts = np.full(capacity + 1, 2)
    counts[-1] = 1
    n = np.repeat(np.arange(capacity + 1), counts)
    come = arrival * positions(counts)  # the probability that one more customer joins
    leave = np.where(n > 0, service, 0.0)
    pair = np.arange(n.size)
    steps = ((-1, leave * (1 - come)), (0, leave * come + (1 - leave) * (1 - come)), (1, (1 - leave) * come))
    possible = [p > 0 for _, p in steps]
    matrix = coo_array(
        (
            np.concatenate([p[k] for (_, p), k in zip(steps, possible)]),
            (
                np.concatenate([pair[k] for k in possible]),
                np.concatenate([n[k] + d for (d, _), k in zip(steps, possible)]),
            ),
        ),
        shape=(n.size, capacity + 1),
    )
    return TabularMDP.from_sparse(matrix, fee * come - holding * n, gamma, state_of_pair=n, action_names=("turn away", "admit"))
