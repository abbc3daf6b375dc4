"""What SVA and frozen SVA compute inside."""
