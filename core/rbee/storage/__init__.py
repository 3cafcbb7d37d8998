"""Tables in a SQLite file or on a server: opening, modes, migrations, one statement after the other."""
