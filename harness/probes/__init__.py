"""What is watched from outside while a job runs: one module per probe."""
