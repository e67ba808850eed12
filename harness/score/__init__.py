"""The pure decision: limits, Pareto set, utility, uncertainty, ranks and reasons. No files, no clocks."""
