"""One file a benchmark: records in, numbers out."""
