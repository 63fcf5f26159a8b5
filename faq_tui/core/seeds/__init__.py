"""Read seeds from a file or data set. A format reads records from a file. A shape turns one record into one seed."""

from faq_tui.core.seeds.formats.base import Problem, Record
from faq_tui.core.seeds.read import read_records
from faq_tui.core.seeds.shapes import read_seed, to_seed

__all__ = ["Problem", "Record", "read_records", "read_seed", "to_seed"]
