"""What happens, told to machines: metrics in the vocabulary of Prometheus, traces, the access log."""
