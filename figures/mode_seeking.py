"""When the reverse KL is faster (claims on-policy-suboptimal/mode-seeking, mode-seeking-regimes).

Left: the mass on the best response by gradient step, for both directions of the divergence from the tilt at beta = 0.1, with a bad
mode of mass 1/2 and the best response at three masses q. Right: the mass above which, of two responses, the reverse KL is faster.
"""

import _style
import matplotlib.pyplot as plt
import numpy as np

from bandits.preference.gradient_flows import bad_mode, follow, forward_kl, mode_seeking_threshold, reverse_kl

STEPS = 60


def main() -> None:
    """Draw the figure and write it."""
    _style.use()
    figure, (paths, threshold) = plt.subplots(1, 2, figsize=(10.0, 4.8))
    for colour, best in zip(_style.COLOURS, (0.3, 0.1, 0.01)):
        bandit = bad_mode(best=best, beta=0.1)
        target = bandit.log_optimum
        reverse = follow(lambda p, target=target: reverse_kl(p, target), bandit.log_reference, 0.1, STEPS)
        forward = follow(lambda p, target=target: forward_kl(p, np.exp(target)), bandit.log_reference, 0.1, STEPS)
        paths.plot(np.exp(reverse[:, -1]), color=colour, label=f"reverse, q = {best:g}")
        paths.plot(np.exp(forward[:, -1]), color=colour, ls="--", label=f"forward, q = {best:g}")
    paths.set(xlabel="gradient steps of 0.1", ylabel="mass on the best response", title="ten responses", ylim=(-0.02, 1.02))
    paths.legend(fontsize=9, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=3)

    gaps = np.geomspace(0.3, 100, 200)
    critical = np.array([mode_seeking_threshold(g) for g in gaps])
    threshold.plot(gaps, critical, color="black", label=r"$1/g - 1/(e^g - 1)$")
    threshold.plot(gaps, 1 / gaps, color="black", ls=":", lw=1.2, label="1/g")
    threshold.fill_between(gaps, critical, 1.0, color=_style.COLOURS[0], alpha=0.15, lw=0)
    threshold.fill_between(gaps, 1e-3, critical, color=_style.COLOURS[1], alpha=0.15, lw=0)
    threshold.text(12, 0.35, "reverse KL faster")
    threshold.text(0.45, 0.01, "forward KL faster")
    threshold.set(
        xscale="log",
        yscale="log",
        xlim=(gaps[0], gaps[-1]),
        ylim=(5e-3, 1.0),
        xlabel="gap of rewards / temperature, g",
        ylabel="mass q of the better response",
        title="two responses",
    )
    threshold.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2)
    for path in _style.save(figure, "mode_seeking"):
        print(path)


if __name__ == "__main__":
    main()
