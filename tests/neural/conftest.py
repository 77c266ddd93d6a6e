"""Small programs that run once: compiling them well would take most of the tests' time."""

import os

os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")  # read when JAX first compiles
