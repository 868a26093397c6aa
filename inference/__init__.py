"""What the GPU computes: values in, values out; no database, no chat."""
