"""For tests of scripts and of procedures: a clock that is turned by hand, queues that go away, a share that lies."""
