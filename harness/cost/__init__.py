"""Pure money: what a million inferences cost on a machine rented by the hour."""
