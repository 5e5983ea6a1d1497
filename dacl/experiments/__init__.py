"""Runs measured: evaluation of one run, tables of several."""
