"""Where shards live: put-if-absent commits, content digests, the manifest, and reading through it."""
