"""Model work (torch, gptqmodel) runs in a child process.

A CUDA crash, an `os._exit` in a quantizer's thread or the kernel's out-of-memory killer then ends the child,
not the pipeline; its memory comes back whole; and what native code prints lands in the job's log.
"""

from faq_tui.core.worker.parent import run_worker

__all__ = ["run_worker"]
