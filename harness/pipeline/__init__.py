"""The main job as named steps: open, prepare, measure, conclude."""
