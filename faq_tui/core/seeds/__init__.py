"""Read seeds from a file or data set. A format reads the records. A shape turns a record into a seed."""

from faq_tui.core.seeds.formats.base import Problem, Record
from faq_tui.core.seeds.read import read_records
from faq_tui.core.seeds.shapes import read_seed, to_seed

__all__ = ["Problem", "Record", "read_records", "read_seed", "to_seed"]
