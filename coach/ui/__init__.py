"""The page: Gradio over a `Coach`."""
