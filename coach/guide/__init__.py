"""The coaching guide in, ranked passages out: read, chunk, embed, index, retrieve, in this order."""
