"""From a file or data set of any common kind to seeds."""

from faq_tui.core.seeds.read import Problem, Record, read_records
from faq_tui.core.seeds.shapes import to_seed

__all__ = ["Problem", "Record", "read_records", "to_seed"]
