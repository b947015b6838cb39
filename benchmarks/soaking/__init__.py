"""The parts of ``benchmarks.soak``: a server and clients that check what they get, and faults."""
