"""The coaching guide in, ranked passages out: read, chunk, catalogue, embed, index, retrieve, in this order."""
