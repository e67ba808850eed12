"""Plots as inline SVG: each function takes plain data and returns markup with a title and a description."""
