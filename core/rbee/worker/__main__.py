"""``python -m rbee.worker``: what a hive starts."""

from rbee.worker.program import main

if __name__ == "__main__":
    main()
