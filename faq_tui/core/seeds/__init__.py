"""Read seeds from a file or data set. A format splits it into records; a shape turns each record into a seed."""

from faq_tui.core.seeds.formats.base import Problem, Record
from faq_tui.core.seeds.read import read_records
from faq_tui.core.seeds.shapes import read_seed, to_seed

__all__ = ["Problem", "Record", "read_records", "read_seed", "to_seed"]
