"""The rules around the model: text in, findings and a verdict out. Knows no model server and no index."""
