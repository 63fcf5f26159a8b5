"""The kinds of extension, each a registry, with the import paths of what faq-tui itself brings.

Paths are strings, so that a name can be checked without importing what it stands for, and so that settings need not
import the packages above them.
"""

from __future__ import annotations

from faq_tui.core.extensions.registry import Registry

METHODS = Registry("faq_tui.methods", "quantization method", "faq_tui.core.quantizing.methods.base:Method", {})
JUDGES = Registry("faq_tui.judges", "judge", "faq_tui.core.judging.judges.base:Judge", {})
METRICS = Registry(
    "faq_tui.metrics",
    "metric",
    "faq_tui.core.evaluation.metrics:Metric",
    {  # the main metric of a kind of text is the first here that has the kind
        "word_perplexity": "faq_tui.core.evaluation.metrics:WORD_PERPLEXITY",
        "byte_perplexity": "faq_tui.core.evaluation.metrics:BYTE_PERPLEXITY",
        "accuracy": "faq_tui.core.evaluation.metrics:ACCURACY",
        "accuracy_norm": "faq_tui.core.evaluation.metrics:ACCURACY_NORM",
        "last_perplexity": "faq_tui.core.evaluation.metrics:LAST_PERPLEXITY",
        "kl": "faq_tui.core.evaluation.metrics:KL",
        "perplexity": "faq_tui.core.evaluation.metrics:PERPLEXITY",
        "top1": "faq_tui.core.evaluation.metrics:TOP1",
        "flips": "faq_tui.core.evaluation.metrics:FLIPS",
    },
)
DIALECTS = Registry("faq_tui.dialects", "reasoning dialect", "faq_tui.core.chat.dialects.base:ReasoningDialect", {})
SEED_FORMATS = Registry("faq_tui.seed_formats", "seed format", "faq_tui.core.seeds.formats.base:SeedFormat", {})
EXPORTS = Registry(
    "faq_tui.exports",
    "export format",
    "faq_tui.core.export.base:ExportFormat",
    {
        "jsonl": "faq_tui.core.export.formats:JSONL",
        "parquet": "faq_tui.core.export.formats:PARQUET",
        "text": "faq_tui.core.export.formats:TEXT",
    },
)
REPORTS = Registry(
    "faq_tui.reports",
    "report format",
    "faq_tui.core.report.formats:ReportFormat",
    {
        "md": "faq_tui.core.report.formats:MARKDOWN",
        "json": "faq_tui.core.report.formats:JSON",
        "html": "faq_tui.core.report.formats:HTML",
    },
)
