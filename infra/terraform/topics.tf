# The topics as the catalogue has them, with the partitions of the profile, for the Terraform provider of your
# brokers. `shutterline topics` makes them, too, and refuses a topic that differs.

locals {
  catalogue = jsondecode(file("${path.module}/../../topics/topics.json"))

  topics = {
    for name, topic in local.catalogue : "${var.namespace}${name}" => {
      partitions = max(topic.profiles[var.sizes].partitions, lookup(var.upstream_partitions, name, 0))
      config     = topic.config
      owner      = topic.owner
    }
  }
}
