"""The child: one process, one job from a folder, evidence left in that folder."""
