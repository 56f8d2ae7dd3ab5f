"""What happens inside a Swin Transformer, and what it costs."""
