"""The stages of the pipeline, one file per stage, and the loop that runs them in order."""

from faq_tui.core.run.context import Stage
from faq_tui.core.stages import (
    activations,
    assemble,
    evaluate,
    evaluate_benchmarks,
    judge,
    quantize,
    regenerate,
    report,
    seeds,
)

STAGES = (
    Stage("seeds", seeds.execute, seeds.signature, holds=seeds.holds),
    Stage("regenerate", regenerate.execute, regenerate.signature),
    Stage("judge", judge.execute, judge.signature),
    Stage("assemble", assemble.execute, assemble.signature, assemble.intact, assemble.holds),
    Stage("activations", activations.execute, activations.signature, activations.intact),
    Stage("quantize", quantize.execute, quantize.signature, quantize.intact),
    Stage("evaluate", evaluate.execute, evaluate.signature, evaluate_benchmarks.intact),
    Stage("report", report.execute, report.signature, report.intact, report.holds),
)
