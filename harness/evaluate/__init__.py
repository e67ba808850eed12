"""Quality of predictions, on the outputs of the variant that really ran."""
