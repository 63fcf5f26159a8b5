"""The stages, one file each, in the order in which they run."""

from faq_tui.core.pipeline import Stage
from faq_tui.core.stages import assemble, judge, quantize, regenerate, seeds

STAGES = (
    Stage("seeds", seeds.execute, seeds.signature),
    Stage("regenerate", regenerate.execute, regenerate.signature),
    Stage("judge", judge.execute, judge.signature),
    Stage("assemble", assemble.execute, assemble.signature),
    Stage("quantize", quantize.execute, quantize.signature),
)
