"""The worker: a supervisor that beats and reaps, and slots that run jobs."""
