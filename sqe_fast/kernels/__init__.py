"""Operators that have more than one implementation, or one that torch does not bring."""
