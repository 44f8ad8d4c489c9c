"""Measurements, each one command; see the README."""
