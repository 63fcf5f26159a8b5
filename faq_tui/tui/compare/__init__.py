"""The screens that compare two runs."""
