"""eBPF: the system call, objects as clang makes them, and the program that measures critical flows.

``flows.c`` is made into ``flows.o`` by clang (``make bpf``). ``objects`` reads that and has the kernel take it by ``syscall``.
``flows`` is the door: it watches flows, and gives what was counted by records of our own.
"""
