"""Run model work (torch, gptqmodel) in a child process.

A crash ends only the child, not the pipeline. Crashes can come from CUDA, from an `os._exit` in a quantizer's thread,
or from the out-of-memory killer of Linux. When the child ends, all its memory is freed. A child that has used a
GPU may take further tasks (`kept.py`). The output of the child's native code goes to the job's log.
"""

from faq_tui.core.worker.parent import run_for_job, run_worker

__all__ = ["run_for_job", "run_worker"]
