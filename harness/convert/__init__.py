"""Registered conversions between formats and precisions, and chains of them. Results are compared with the original."""
