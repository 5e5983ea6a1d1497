"""Runs against each other, patient by patient."""
