"""Models that were brought in: kept whole in a folder of their own, with a lock file that says what each file was."""
