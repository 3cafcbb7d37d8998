"""``python -m rbee.gates``: what the queen starts."""

from rbee.gates.program import main

if __name__ == "__main__":
    main()
