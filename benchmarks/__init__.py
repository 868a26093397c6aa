"""What Moqi costs, measured: `python -m benchmarks` runs everything, `python -m benchmarks.<name>` one part."""
