"""The quantization methods: one file or folder per method.

The methods are found by the registry `faq_tui.core.extensions.METHODS`.
"""
