"""Measurements of the queue, for people; what has to hold on every machine is counted in the tests."""
