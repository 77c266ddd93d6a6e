"""The default KL-regularised bandits of the papers on alignment."""

from bandits.preference.families import random_kl_bandit
from theory.claims import by_profile

RANDOM = random_kl_bandit.sweep(
    K=(2, 5, 12),
    concentration=(0.1, 1.0, 5.0),
    spread=(0.1, 1.0, 10.0),
    beta=(0.1, 0.5, 2.0),
    draws=by_profile(quick=1, full=6),
)
