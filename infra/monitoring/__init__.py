"""The alerts of Prometheus and the dashboards of Grafana, for those who run the pipeline."""
