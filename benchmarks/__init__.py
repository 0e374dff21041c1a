"""Programs that measure this project beside its peers; see benchmarks/README.md."""
