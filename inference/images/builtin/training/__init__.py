"""How the built-in model is made: needs torch and diffusers, and hours on two cores or minutes on a GPU."""
