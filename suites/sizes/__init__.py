"""The sizes suite: architectures of known sizes with seeded weights, from 10 µs to about a second per inference."""
