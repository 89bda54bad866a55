"""The benchmarks of `benchmarks/`: that they measure what they say."""
