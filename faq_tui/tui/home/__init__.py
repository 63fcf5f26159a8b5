"""Home: the list of all runs, from which the user opens, creates and deletes runs."""
