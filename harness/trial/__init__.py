"""The parent's side of a trial: launch, watch, deadlines, limits, and the evidence on disk."""
