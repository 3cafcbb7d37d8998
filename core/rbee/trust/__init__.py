"""Who is who in a colony: its certificate authority, and what each program shows to the others.

Only `rbee.trust.names` is light; the rest loads what makes and reads certificates, so it is imported where needed.
"""
