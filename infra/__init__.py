"""What the pipeline runs on: the local stack, the cloud, the monitoring rules."""
