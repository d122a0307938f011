"""The real Envoy, the real service and real stores together."""
