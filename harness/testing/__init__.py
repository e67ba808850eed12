"""A gate for other people's tests: pytest's fixture `harness_cell`, and what it does."""
