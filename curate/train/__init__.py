"""Training from committed feature shards: reader, loop, checkpoint, samples and export."""
