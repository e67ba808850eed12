"""How a model is loaded and called. Found by entry point, imported in the child process only."""
