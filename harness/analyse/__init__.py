"""From evidence to metrics: one trial's facts, a cell's measures, tidy tables. Measures nothing itself."""
