"""What was learned, looked at: clusters of embeddings, densities, figures, the page of a report."""
