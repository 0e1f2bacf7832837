# The topics as the catalogue has them, for the Terraform provider of your brokers.
# `shutterline topics` makes them, too, and refuses a topic that differs.

locals {
  catalogue = jsondecode(file("${path.module}/../../topics/topics.json"))

  topics = {
    for name, topic in local.catalogue : "${var.namespace}${name}" => {
      partitions = topic.partitions
      config     = topic.config
      owner      = topic.owner
    }
  }
}
