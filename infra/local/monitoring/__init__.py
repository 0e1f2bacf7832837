"""Prometheus and Alertmanager beside the local stack."""
