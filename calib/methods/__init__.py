"""One file a method, one contract (base.py)."""
