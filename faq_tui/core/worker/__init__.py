"""Run model work (torch, gptqmodel) in a child process.

Therefore only the child ends, and not the pipeline, if CUDA crashes, a quantizer's thread calls `os._exit`, or the
out-of-memory killer of Linux acts. When the child ends, all its memory is freed. The output of its native code goes
to the job's log.
"""

from faq_tui.core.worker.parent import run_worker

__all__ = ["run_worker"]
