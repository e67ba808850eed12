"""`report.html`: one file without requests to anywhere. A section is one module: plain data in, HTML out."""
