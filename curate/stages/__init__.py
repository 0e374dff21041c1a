"""Stages and barriers: one a file, named for what it does; recipes list them by `kind`."""
