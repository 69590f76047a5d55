"""Tests of whole ways through the system, from bytes to read models."""
