"""Reading Groovy without running it: tokens, statements, and the values of expressions."""
