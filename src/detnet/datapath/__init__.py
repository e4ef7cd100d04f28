"""The only place that knows netlink and system calls: namespaces, links, queues, pacing, kernel timestamps."""
