"""How the tables of this store came to their present shape; one module a step, run in the order of its store."""
