"""Messages in, a stream of text out: which models there are, how they get here, how they run."""
