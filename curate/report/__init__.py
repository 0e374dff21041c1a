"""The HTML report of a dataset: one file, no outside resources, no script."""

from curate.report.write import write_report

__all__ = ["write_report"]
