"""The report: tables, figures and verdicts from run records, beside the paper's own numbers."""
