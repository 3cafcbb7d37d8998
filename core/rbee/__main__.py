"""``python -m rbee`` is the ``rbee`` command."""

from rbee.cli.start import main

if __name__ == "__main__":
    main()
