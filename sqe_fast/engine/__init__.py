"""Runs programs of many requests on one runner: encode once, prefill one by one, decode together."""
