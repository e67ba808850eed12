"""The traffic: one module per kind, with its parameters, its execution in the child, and its metrics."""
