"""Proof that the instrument is honest: truths that are known by construction, measured by the real pipeline."""
