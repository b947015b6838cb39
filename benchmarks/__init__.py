"""What is measured, against what, with the scripts that do it; the numbers are in docs/performance.md."""
