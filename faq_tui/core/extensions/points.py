"""The kinds of extension.

Each kind of extension has a registry with the import paths of faq-tui's own extensions of this kind.

The import paths are strings, so the settings can check a name without importing the module of the extension.
"""

from __future__ import annotations

from faq_tui.core.extensions.registry import Registry

METHODS = Registry(
    "faq_tui.methods",
    "quantization method",
    "faq_tui.core.quantizing.methods.base:Method",
    {
        "gptq": "faq_tui.core.quantizing.methods.gptq:METHOD",
        "gptaq": "faq_tui.core.quantizing.methods.gptaq:METHOD",
        "awq": "faq_tui.core.quantizing.methods.awq:METHOD",
        "spqr": "faq_tui.core.quantizing.methods.spqr:METHOD",
        "w8a8": "faq_tui.core.quantizing.methods.w8a8:METHOD",
    },
)
JUDGES = Registry(
    "faq_tui.judges",
    "judge",
    "faq_tui.core.judging.judges.base:Judge",
    {
        "llm": "faq_tui.core.judging.judges.llm:JUDGE",
        "likelihood": "faq_tui.core.judging.judges.likelihood:JUDGE",
        "activation": "faq_tui.core.judging.judges.activation:JUDGE",
    },
)
METRICS = Registry(
    "faq_tui.metrics",
    "metric",
    "faq_tui.core.evaluation.metrics:Metric",
    {  # The first metric in this table that fits a kind of text is the main metric of this kind.
        "word_perplexity": "faq_tui.core.evaluation.metrics:WORD_PERPLEXITY",
        "byte_perplexity": "faq_tui.core.evaluation.metrics:BYTE_PERPLEXITY",
        "accuracy": "faq_tui.core.evaluation.metrics:ACCURACY",
        "accuracy_norm": "faq_tui.core.evaluation.metrics:ACCURACY_NORM",
        "last_perplexity": "faq_tui.core.evaluation.metrics:LAST_PERPLEXITY",
        "kl": "faq_tui.core.evaluation.metrics:KL",
        "perplexity": "faq_tui.core.evaluation.metrics:PERPLEXITY",
        "top1": "faq_tui.core.evaluation.metrics:TOP1",
        "flips": "faq_tui.core.evaluation.metrics:FLIPS",
        "kl_p99": "faq_tui.core.evaluation.token_metrics:TAIL_KL",
        "kl_unsure": "faq_tui.core.evaluation.token_metrics:UNSURE_KL",
        "kl_sure": "faq_tui.core.evaluation.token_metrics:SURE_KL",
        "kl_reasoning": "faq_tui.core.evaluation.token_metrics:REASONING_KL",
        "kl_answer": "faq_tui.core.evaluation.token_metrics:ANSWER_KL",
        "departure": "faq_tui.core.evaluation.token_metrics:FIRST_DEPARTURE",
        "greedy_departure": "faq_tui.core.evaluation.greedy_metrics:GREEDY_DEPARTURE",
        "greedy_length": "faq_tui.core.evaluation.greedy_metrics:GREEDY_LENGTH",
        "greedy_unended": "faq_tui.core.evaluation.greedy_metrics:GREEDY_UNENDED",
    },
)
DIALECTS = Registry(
    "faq_tui.dialects",
    "reasoning dialect",
    "faq_tui.core.chat.dialects.base:ReasoningDialect",
    {
        "gpt-oss": "faq_tui.core.chat.dialects.families:GPT_OSS",
        "mistral": "faq_tui.core.chat.dialects.families:MISTRAL",
        "think": "faq_tui.core.chat.dialects.families:THINK",
        "cohere": "faq_tui.core.chat.dialects.families:COHERE",
        "seed": "faq_tui.core.chat.dialects.families:SEED",
        "minimax": "faq_tui.core.chat.dialects.families:MINIMAX",
        "gemma": "faq_tui.core.chat.dialects.families:GEMMA",
        "kimi": "faq_tui.core.chat.dialects.families:KIMI",
        "thinking": "faq_tui.core.chat.dialects.families:THINKING",
        "granite": "faq_tui.core.chat.dialects.families:GRANITE",
        "other-tags": "faq_tui.core.chat.dialects.families:OTHER_TAGS",
        "fields": "faq_tui.core.chat.dialects.families:FIELDS",
    },
)
SEED_FORMATS = Registry(
    "faq_tui.seed_formats",
    "seed format",
    "faq_tui.core.seeds.formats.base:SeedFormat",
    {
        "jsonl": "faq_tui.core.seeds.formats.json_lines:FORMAT",
        "json": "faq_tui.core.seeds.formats.json_array:FORMAT",
        "csv": "faq_tui.core.seeds.formats.delimited:CSV",
        "tsv": "faq_tui.core.seeds.formats.delimited:TSV",
        "parquet": "faq_tui.core.seeds.formats.parquet:FORMAT",
        "txt": "faq_tui.core.seeds.formats.plain_text:FORMAT",
        "datasets": "faq_tui.core.seeds.formats.hub_dataset:FORMAT",
    },
)
EXPORTS = Registry(
    "faq_tui.exports",
    "export format",
    "faq_tui.core.export.formats:ExportFormat",
    {
        "jsonl": "faq_tui.core.export.formats:JSONL",
        "parquet": "faq_tui.core.export.formats:PARQUET",
        "text": "faq_tui.core.export.formats:TEXT",
        "llm-compressor": "faq_tui.core.export.quantizers:LLM_COMPRESSOR",
        "auto-round": "faq_tui.core.export.quantizers:AUTO_ROUND",
        "gptqmodel": "faq_tui.core.export.quantizers:GPTQMODEL",
        "imatrix": "faq_tui.core.export.quantizers:IMATRIX",
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

ALL = (METHODS, JUDGES, METRICS, DIALECTS, SEED_FORMATS, EXPORTS, REPORTS)
