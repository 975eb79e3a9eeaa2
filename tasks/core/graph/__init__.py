"""doit made true: what is stale, what is listed, how a run goes on and what it prints."""
