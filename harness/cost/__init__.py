"""Cost of inference: USD per million inferences."""
