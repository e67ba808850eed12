"""Places that start cold: the platform's side of a function or a container, emulated, and its cold starts measured."""
