"""The list of machines that the operator has entered."""
