"""A cluster on one machine: a guest kernel with a real NFS or SMB server and hosts that mount it (see README.md)."""
