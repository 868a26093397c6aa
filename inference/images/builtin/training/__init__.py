"""How the built-in model is made: needs torch, diffusers and hours."""
