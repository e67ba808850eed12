"""What other tools read: a run in their formats, one module each, registered in `harness.exporters`."""
