"""The quantization methods: one file or folder per method.

They are found by the registry `faq_tui.core.extensions.METHODS`.
"""
