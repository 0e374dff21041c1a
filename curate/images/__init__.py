"""Pictures as bytes: decoding, embedded metadata, hashes, encoding; no tables and no models."""
