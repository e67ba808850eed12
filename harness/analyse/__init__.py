"""From evidence to metrics: one trial, one cell, a run, tidy tables. Measures nothing itself."""
