"""The handwritten-digit suite: its data, its trained candidates, and the script that makes both."""
