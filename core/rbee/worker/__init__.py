"""The worker host: one process, one engine, one model, speaking the worker contract."""
