"""The embedded corpus, its web server and the scripts that made the builtin models."""
