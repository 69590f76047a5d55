"""Measures the numbers the project stands for, each beside what limits it, in one run on one machine."""
