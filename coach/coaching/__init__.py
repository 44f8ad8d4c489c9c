"""One conversation: a message in, a checked and cited answer out."""
