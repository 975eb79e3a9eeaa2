"""What differs between two releases, or between one and what would be made now."""
