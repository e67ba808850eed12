"""The folder protocol: which files a job and a run leave, how they are written and read."""
