"""The stages, one file each, in the order in which they run."""

from faq_tui.core.pipeline import Stage
from faq_tui.core.stages import assemble, evaluate, judge, quantize, regenerate, report, seeds

STAGES = tuple(
    Stage(module.__name__.rpartition(".")[2], module.execute, module.signature)
    for module in (seeds, regenerate, judge, assemble, quantize, evaluate, report)
)
