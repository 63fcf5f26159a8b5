"""The headless twin of the app: the same stages. Stdout is data, stderr is narration."""
