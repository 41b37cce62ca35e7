"""Does it still work: what a file lost against the baseline, how much its answers vary, and who lost it."""
