"""One stage a file, named for what it does."""
