"""A third party's package: one plug-in of each kind. It imports harness; harness knows nothing of it."""
