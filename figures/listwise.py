"""The lambda loss bounds what a ranking lacks in discounted cumulative gain (claim lipo/dcg-bound).

Left: every order of five responses, for twenty lists of random labels; the sum of Delta over discordant pairs against what the DCG lacks.
Orders that one exchange of neighbours separates from the best lie on the diagonal. Right: the two bounds as normal noise is added
to the best scores (the labels times ten), averaged over 400 lists of ten responses.
"""

import itertools

import _style
import matplotlib.pyplot as plt
import numpy as np

from bandits.preference.listwise import dcg_regret, lambda_loss, lambda_weights, ranks

LISTS, NOISY_LISTS = _style.sized(20, 3), _style.sized(400, 20)


def discordant(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The sum of Delta over the pairs that the scores put in the wrong order, shape (...)."""
    place = ranks(scores)
    wrong = place[..., :, None] > place[..., None, :]
    return (lambda_weights(scores, labels) * wrong).sum(axis=(-2, -1))


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    rng = np.random.default_rng(0)
    figure, (left, right) = plt.subplots(1, 2, figsize=(11.5, 4.4))
    orders = np.array(list(itertools.permutations(range(5))), dtype=float)
    for k in range(LISTS):
        labels = np.broadcast_to(rng.uniform(size=5), orders.shape)
        regret, pairs = dcg_regret(orders, labels), discordant(orders, labels)
        left.plot(regret, pairs, ".", ms=3, alpha=0.5, color=_style.COLOURS[0], label="an order" if k == 0 else None)
    edge = left.get_xlim()[1]
    left.plot([0, edge], [0, edge], color="black", lw=0.9, ls=":", label="equality")
    left.set(
        xlabel="DCG lacking to the best order", ylabel="sum of Δ over discordant pairs", title="all orders of five responses"
    )
    noise = np.geomspace(0.1, 30, _style.sized(25, 7))
    labels = rng.uniform(size=(NOISY_LISTS, 10))
    rows = []
    for level in noise:
        scores = 10 * labels + level * rng.standard_normal(labels.shape)
        losses = [lambda_loss(s, psi) / np.log(2) for s, psi in zip(scores, labels)]
        rows.append((np.mean(losses), discordant(scores, labels).mean(), dcg_regret(scores, labels).mean()))
    names = ("λ-loss to the base 2", "discordant pairs", "DCG lacking")
    for colour, dashes, name, curve in zip(_style.COLOURS, ("-", "--", "-."), names, np.array(rows).T):
        right.plot(noise, curve, color=colour, ls=dashes, label=name)
    right.set(xscale="log", yscale="log", xlabel="noise of the scores", ylabel="mean over lists", title="noisy scores")
    for axes in (left, right):
        axes.legend()
    for path in _style.save(figure, "listwise"):
        print(path)


if __name__ == "__main__":
    main()
