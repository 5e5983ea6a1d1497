"""Pictures and figures of what was learned."""
