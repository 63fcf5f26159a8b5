"""Run model work (torch, gptqmodel) in a child process.

A CUDA crash, an `os._exit` in a quantizer's thread or the kernel's out-of-memory killer then ends only the child, not
the pipeline. All memory of the child is freed at its end, and output of native code goes to the job's log.
"""

from faq_tui.core.worker.parent import run_worker

__all__ = ["run_worker"]
