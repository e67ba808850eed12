"""What a person reads: the table, lists, the progress of a run, report.md, the reasons for one row."""
