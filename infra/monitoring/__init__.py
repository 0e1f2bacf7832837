"""The alerts of Prometheus and the dashboards of Grafana."""
