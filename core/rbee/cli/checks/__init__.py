"""What `rbee doctor` looks at: this machine, the programs that run, the colony."""
