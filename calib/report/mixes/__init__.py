"""The section on targets of another class mix or another size."""
