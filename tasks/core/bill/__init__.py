"""What something consists of, with licences, in the two forms that others' programs read."""
