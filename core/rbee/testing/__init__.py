"""What plugins and rbee itself are tested with.  Nothing in the programs imports it."""
