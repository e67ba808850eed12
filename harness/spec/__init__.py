"""What a user writes (suites, targets, policies, metrics) and what parent and child tell each other."""
