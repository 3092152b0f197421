"""The command line: one file per verb, the composition root."""
