"""The pure decision: limits, Pareto set, utility, uncertainty, ranks and reasons. Reads no files and no clock."""
