"""The places to run on, as TOML: data, readable without importing any runtime."""
