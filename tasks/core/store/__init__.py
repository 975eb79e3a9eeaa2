"""A folder or a bucket as the place that carries files across, behind one interface."""
