variable "environment" {
  description = "Which system this is, as in names and tags: production, staging."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,20}$", var.environment))
    error_message = "environment is 2 to 21 of a-z, 0-9 and -, and begins with a letter."
  }
}

variable "owner" {
  description = "The team that is asked when something here is in doubt; a tag on everything."
  type        = string

  validation {
    condition     = length(var.owner) > 0
    error_message = "owner must name somebody."
  }
}

variable "region" {
  description = "Where the media bucket is, and with it the shield in front of it."
  type        = string
}

variable "media_bucket" {
  description = "The bucket of originals and renditions; SHUTTERLINE_S3_BUCKET of every process."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.media_bucket))
    error_message = "media_bucket is 3 to 63 of a-z, 0-9 and -, and begins and ends with none of the last."
  }
}

variable "namespace" {
  description = "SHUTTERLINE_NAMESPACE of the processes, usually empty: with the objects' prefix, what the lifecycle rule is for."
  type        = string
  default     = ""
}

variable "sizes" {
  description = "SHUTTERLINE_SIZES of the processes: how many partitions the topics have. Another value needs a drain, see docs/operations.md."
  type        = string

  validation {
    condition     = contains(["local", "small", "large"], var.sizes)
    error_message = "sizes is local, small or large."
  }
}

variable "upstream_partitions" {
  description = "More partitions than the profile says, by topic: only uploads, follows and likes can have more."
  type        = map(number)
  default     = {}

  validation {
    condition     = length(setsubtract(keys(var.upstream_partitions), ["uploads", "follows", "likes"])) == 0
    error_message = "Only uploads, follows and likes grow by adding partitions."
  }
}

variable "upload_origins" {
  description = "Web origins whose pages may put uploads into the bucket by signed requests, and read photos by scripts: https://photos.example."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for each in var.upload_origins : can(regex("^https://[^/*]+$", each))])
    error_message = "Each of upload_origins is https:// and a host, with no path and no star."
  }
}

variable "media_keys" {
  description = "Public keys (PEM) of URL signatures by a name of their own: the one that signs, and while keys rotate the one before."
  type        = map(string)

  validation {
    condition     = length(var.media_keys) >= 1 && length(var.media_keys) <= 2
    error_message = "One media key, or two while they rotate."
  }

  validation {
    condition     = alltrue([for each in values(var.media_keys) : startswith(each, "-----BEGIN PUBLIC KEY-----")])
    error_message = "Each of media_keys is a public key in PEM form; private keys never come here."
  }
}
