"""Run model work (torch, gptqmodel) in a child process.

Therefore a CUDA crash, an `os._exit` in a quantizer's thread or the out-of-memory killer of Linux ends only the
child, not the pipeline. When the child ends, all its memory is freed. The output of its native code goes to the job's
log.
"""

from faq_tui.core.worker.parent import run_worker

__all__ = ["run_worker"]
