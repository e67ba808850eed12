"""Statistics without input or output: quantiles and intervals, stopping rules, racing, certification."""
