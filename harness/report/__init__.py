"""What a person reads: the table, the progress, report.md; and the files other tools read."""
