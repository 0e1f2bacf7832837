"""The dashboards of Grafana: `python -m infra.monitoring.grafana` writes them as JSON.

It needs the development dependencies. Who runs the dashboards needs the JSON alone.
"""
