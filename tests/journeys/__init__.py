"""The whole program as its users meet it: real processes, real database, real diffusers, simulated platforms."""
