"""Sources: where candidate rows come from; one file a source."""
