"""What to measure: suite descriptions in TOML, with their small pinned artefacts beside them."""
