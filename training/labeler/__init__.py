"""The labeler: an external service whose datasets appear beside one's own."""
